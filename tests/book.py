"""The vignettes as the tests use them: every file, played through the whole service, and what it should have said."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path

from cds_service.app import build_service
from cds_service.clinical.decide import SEVERITY, Decision, decide
from cds_service.clinical.findings import assess
from cds_service.clinical.record import PatientRecord
from cds_service.clinical.tables import Pathway
from cds_service.config import Settings
from cds_service.hooks.messages import read_request
from cds_service.knowledge.content import Content, load_content
from cds_service.knowledge.locate import cards_folder
from cds_service.pipeline import Answer, Service, answer
from cds_service.vignette_fhir import request_bytes
from cds_service.vignettes import Vignette, read_vignette

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
NEVER = 10.0**12  # a deadline that does not come


@cache
def content() -> Content:
    """The content that the installed service carries."""
    return load_content(cards_folder())


def book(pathway: str) -> list[Vignette]:
    """Every vignette of a pathway, by name."""
    return [read_vignette(path) for path in sorted((FIXTURES / "vignettes" / pathway).glob("*.toml"))]


@cache
def service(pathway: str) -> Service:
    """The service with the default settings of the demo."""
    return build_service(Settings(demo=True, pathway=pathway), content())


def play(vignette: Vignette) -> Answer:
    """The vignette's request, answered by the whole pipeline without a FHIR server."""
    request = read_request(request_bytes(vignette, content()), "patient-view")
    now = datetime.combine(vignette.as_of, time(12), UTC)
    return answer(request, service(vignette.pathway), None, now, NEVER, NEVER)


@dataclass(frozen=True)
class Told:
    """A vignette with its record read once, so that many pathways can be tried on it."""

    vignette: Vignette
    record: PatientRecord


def told(pathway: str) -> list[Told]:
    """Every vignette of a pathway that has its required data, with its record."""
    return [Told(vignette, played.record) for vignette in book(pathway) if not (played := play(vignette)).missing]


def faults(decision: Decision, vignette: Vignette) -> list[str]:
    """In what the decision differs from what the vignette expects; empty when it is right."""
    expect, found = vignette.expect, []
    worst = max((advice.indicator for advice in decision.advice), key=SEVERITY.__getitem__, default="none")
    drafts = [draft for advice in decision.advice for draft in advice.drafts]
    tests = [draft.id for draft in drafts if draft.kind == "test"]
    medicines = [draft.id for draft in drafts if draft.kind == "medicine"]
    said = "\n".join(f"{advice.summary}\n{advice.detail}" for advice in decision.advice)
    for name, actual in (
        ("label", decision.label),
        ("rows", sorted(decision.rows)),
        ("indicator", worst),
        ("tests", sorted(tests)),
        ("medicines", medicines),
    ):
        wanted = sorted(expect[name]) if name in ("rows", "tests") and name in expect else expect.get(name, actual)
        if wanted != actual:
            found.append(f"{name}: expected {wanted}, got {actual}")
    levels = {advice.row: advice.indicator for advice in decision.advice}
    for row, wanted in expect.get("indicators", {}).items():
        if levels.get(row, "none") != wanted:
            found.append(f"indicators: {row}: expected {wanted}, got {levels.get(row, 'none')}")
    found += [f"has_tests: {name} is missing in {tests}" for name in expect.get("has_tests", ()) if name not in tests]
    found += [
        f"says: {text!r} is missing in:\n{said}"
        for text in expect.get("says", ())
        if text.casefold() not in said.casefold()
    ]
    found += [
        f"never: {text!r} is in:\n{said}" for text in expect.get("never", ()) if text.casefold() in said.casefold()
    ]
    return found


def decide_with(told_one: Told, pathway: Pathway) -> Decision:
    """The decision on a record by a (perhaps changed) pathway."""
    return decide(assess(told_one.record, pathway, told_one.vignette.as_of), pathway)


def with_row(pathway: Pathway, table: str, rows: tuple) -> Pathway:
    """The pathway with another table."""
    return replace(pathway, **{table: rows})


def corpus() -> Path | None:
    """The folder of real and synthetic FHIR, if this machine has it."""
    folder = os.environ.get("CORPUS_DIR")
    return Path(folder) if folder else None
