"""The example patients that are shipped: ten with a FHIR record, and the vignettes, by the name in ?patient=.

All are invented, so that a name may stand in an address. A vignette that needs a site's folder is left out: these
pages show the content with which the service runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from cds_service.content.content import Content
from cds_service.examples import fixture_patients, vignette_fhir
from cds_service.examples.vignettes import Vignette, shipped_vignettes

RECORD, VIGNETTE = "record", "vignette"
DATED = ("date", "ended")  # keys by which a vignette names a day of the calendar


@dataclass(frozen=True, slots=True)
class Example:
    """One example patient. `name` is "neuro-metformin" or "uk-ng239/01-deficient-vegan"."""

    name: str
    title: str
    story: str
    kind: str  # record | vignette
    pathway: str
    hook: str
    made_from: Path | Vignette
    expected: str = ""  # of a vignette: the label, rows and findings that it expects
    label: str = ""  # the label that it expects

    @property
    def searched(self) -> str:
        """The text in which a search looks."""
        return f"{self.title} {self.story} {self.name} {self.hook} {self.expected}".casefold()


@dataclass(frozen=True, slots=True)
class Opened:
    """An example as a call: the body, and the day on which it is made."""

    body: bytes
    day: date


class Examples:
    """Every example. The vignettes are read when somebody first asks for one."""

    def __init__(self, pathway: str, pathways: Iterable[str]) -> None:
        self.records = {each.name: each for each in records(pathway)}
        self._pathways = frozenset(pathways)
        self._all: dict[str, Example] | None = None

    def all(self) -> dict[str, Example]:
        """Records first, then vignettes by pathway and name."""
        if self._all is None:
            self._all = self.records | {each.name: each for each in vignettes(self._pathways)}
        return self._all

    def find(self, name: str) -> Example | None:
        return self.records.get(name) or self.all().get(name)

    def search(self, words: str, **facets: str) -> list[Example]:
        """Examples whose title, story, name or expectation holds every word, and that are of each facet that is given:
        pathway, hook, label."""
        wanted, given = words.casefold().split(), {name: value for name, value in facets.items() if value}
        return [
            each
            for each in self.all().values()
            if all(getattr(each, name) == value for name, value in given.items())
            if all(word in each.searched for word in wanted)
        ]

    def facet(self, name: str, words: str, **facets: str) -> list[tuple[str, int]]:
        """The values of a facet among what the words and the other facets find, each with how many there are."""
        others = {each: value for each, value in facets.items() if each != name}
        values = Counter(getattr(each, name) for each in self.search(words, **others))
        return sorted((value, count) for value, count in values.items() if value)


def records(pathway: str) -> Iterator[Example]:
    """The fixture patients; a record belongs to no pathway, so that the service's own is shown."""
    for path in sorted(fixture_patients.patients_folder().glob("*.json")):
        record = fixture_patients.read_patient(path, date(2000, 1, 1))
        title, story = fixture_patients.tag_text(record, "title"), fixture_patients.tag_text(record, "story")
        yield Example(path.stem, title, story, RECORD, pathway, "patient-view", path)


def vignettes(pathways: frozenset[str]) -> Iterator[Example]:
    """The vignettes of these pathways that need no site's folder."""
    for name, vignette in shipped_vignettes().items():
        if not vignette.overlay and vignette.pathway in pathways:
            label = str(vignette.expect.get("label", ""))
            yield Example(
                name,
                vignette.title,
                "",
                VIGNETTE,
                vignette.pathway,
                vignette.hook,
                vignette,
                expected_of(vignette),
                label,
            )


def expected_of(vignette: Vignette) -> str:
    """The words and names that a vignette expects, as one text."""
    values = vignette.expect.values()
    return " ".join(" ".join(map(str, each)) if isinstance(each, list) else str(each) for each in values)


def opened(example: Example, content: Content, today: date) -> Opened:
    """The call about an example. Days are counted back from today, unless it names days of the calendar."""
    vignette = example.made_from
    if isinstance(vignette, Path):
        record = fixture_patients.read_patient(vignette, today)
        return Opened(fixture_patients.request_bytes(record, content.prefetch["full"]), today)
    if not is_dated(vignette):
        vignette = replace(vignette, as_of=today)
    return Opened(vignette_fhir.request_bytes(vignette, content), vignette.as_of)


def is_dated(vignette: Vignette) -> bool:
    """Does it name days of the calendar? Then it can only be played as of its own day."""
    entries: list[Any] = [entry for table in vignette.fields.values() if isinstance(table, list) for entry in table]
    return any(key in entry for entry in entries if isinstance(entry, dict) for key in DATED)
