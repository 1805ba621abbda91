"""Two depths of the same evidence: what every change meets, and what `--thorough` adds to it."""

from __future__ import annotations

import os
from typing import TypeVar

from hypothesis import HealthCheck, settings

Depth = TypeVar("Depth")

VARIABLE = "B12_TESTS_THOROUGH"  # in the environment, so that every worker and every process of a test knows
EXAMPLES = (60, 600)  # of each property: on a change, and thorough
ADDS = (
    "each service of a test begun as a person begins it, instead of forked from a process that has imported it",
    f"{EXAMPLES[1]} examples of each property instead of {EXAMPLES[0]}",
    "every enumerated patient instead of every eleventh",
    "every vignette where a page of the documentation has a site's folder checked, instead of every tenth; and in each "
    "test of such a check instead of in one, and every tenth in the others",
    "the rows that the evidence view tells of every vignette instead of every third",
    "every vignette drawn as a chart with each example site's limits instead of every third",
    "a minute of load on the store instead of two seconds, and the slowest hundredth of its calls",
    "every way in about every vignette, and every element of a person changed in each, instead of some",
    "what schemathesis makes up, 100 examples for each operation, beside the values at the edges of its schemas",
    "every golden request and vignette with other ids instead of every third",
    "every vignette as a row of a population and over HTTP instead of every third",
    "200 sequences of killed population runs instead of 3; 10,000 patients on Spark instead of 200",
    "3,000 patients of each pathway, and 500 about orders, with each of two CQL engines instead of 15 and 8",
    "200 sequences of what can befall the result watcher instead of 10",
    "every page opened anew in each width and scheme, with every rule of axe on the whole of it, instead of opened "
    "once for every width, with axe where it is narrow and dark, and its rules about colours where it is wide and "
    "light too, each to the sixth row of a table",
    "every part of the record that a vignette has, each away once, instead of one of them",
    "the bill of materials made again from an installation of its own, beside that of the image; every lock resolved",
    "120 and 240 of each repeated element of a request, and every two together, instead of 60 and 120, and some",
    "200,000 hostile calls, feedbacks, pages and FHIR answers instead of 1,800",
)


def is_thorough() -> bool:
    return os.environ.get(VARIABLE) == "true"


def chosen(usual: Depth, thorough: Depth) -> Depth:
    """What this run is to do: the usual, or what takes long."""
    return thorough if is_thorough() else usual


def prepare(*, thorough: bool, repeatable: bool) -> None:
    """Set how deep properties are tried. No test fails because the machine was busy."""
    os.environ[VARIABLE] = "true" if thorough else "false"
    unhurried = [HealthCheck.too_slow, HealthCheck.data_too_large]
    settings.register_profile(
        "suite", max_examples=chosen(*EXAMPLES), deadline=None, suppress_health_check=unhurried, derandomize=repeatable
    )
    settings.load_profile("suite")
