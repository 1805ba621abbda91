"""The vignettes as the tests use them: every file, played through the whole service, and what it should have said."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

from tests.api import (
    ENCODER,
    SEVERITY,
    Assessment,
    CallTime,
    ClientConfig,
    Content,
    Decision,
    Evaluation,
    Pathway,
    PatientRecord,
    Recollection,
    Settings,
    Vignette,
    assess,
    cards_folder,
    client_config,
    decide,
    decide_orders,
    evaluate,
    hook_request,
    load_content,
    overlay_folder,
    read_request,
    read_vignette,
)

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
PATHWAYS = ("uk-ng239", "us-aafp")
NEVER = 10.0**12  # a deadline that does not come


@cache
def content() -> Content:
    """The content that the installed service carries."""
    return load_content(cards_folder())


@cache
def book(pathway: str) -> tuple[Vignette, ...]:
    """Every vignette of a pathway, by name. Nobody changes one: each process reads them once."""
    return tuple(read_vignette(path) for path in sorted((FIXTURES / "vignettes" / pathway).glob("*.toml")))


@cache
def overlaid(site: Path) -> Content:
    """Our content with the folder of an example site over it."""
    return load_content(cards_folder(), site)


@cache
def service(pathway: str, site: Path | None = None) -> ClientConfig:
    """The service with the default settings of the demo, at an example site if one is named."""
    return client_config(Settings(demo=True, pathway=pathway), overlaid(site) if site else content())


def play(
    vignette: Vignette,
    asked: ClientConfig | None = None,
    change: Callable[[dict[str, Any]], object] | None = None,
) -> Evaluation:
    """The vignette's request, answered by the whole pipeline without a FHIR server; by the service of its pathway.

    `change` may alter the request before it is sent.
    """
    asked = asked or service(vignette.pathway, overlay_folder(vignette))
    body = hook_request(vignette, asked.content)
    if change:
        change(body)
    request = read_request(ENCODER.encode(body), vignette.hook)
    now = datetime.combine(vignette.as_of, time(12), UTC)
    return evaluate(request, asked, CallTime(now, seconds=NEVER), history=Recollection(vignette))


@dataclass(frozen=True)
class Told:
    """A vignette, read and assessed once, so that many changed pathways can be tried on it."""

    vignette: Vignette
    record: PatientRecord
    assessment: Assessment


@cache
def told(pathway: str) -> tuple[Told, ...]:
    """Every vignette of a pathway that has its required data, with its record; an example site's has other numbers.
    Played once by each process: nobody changes what came of it.

    Of an order that is none of our business nothing was read: there is nothing to decide again. Where a card names what
    was lost (fixed/incomplete) and the vignette speaks of it, it is not the tables that answer.
    """
    answers = [(vignette, play(vignette)) for vignette in book(pathway) if not vignette.overlay]
    answers = [(vignette, played) for vignette, played in answers if not played.missing and played.record.published]
    tellings = [
        (Told(vignette, played.record, played.assessment), [each.row for each in played.decision.advice])
        for vignette, played in answers
    ]
    tables = content().pathways[pathway]
    return tuple(
        each
        for each, rows in tellings
        if "fixed/incomplete" not in rows or not faults(decide_with(each, tables), each.vignette)
    )


def faults(decision: Decision, vignette: Vignette) -> list[str]:
    """In what the decision differs from what the vignette expects; empty when it is right."""
    expect, found = vignette.expect, []
    worst = max((advice.indicator for advice in decision.advice), key=SEVERITY.__getitem__, default="none")
    drafts = [draft for advice in decision.advice for draft in advice.drafts]
    tests = [draft.id for draft in drafts if draft.kind == "test"]
    medicines = [draft.id for draft in drafts if draft.kind == "medicine"]
    cards = "\n".join(f"{advice.summary}\n{advice.detail}" for advice in decision.advice)
    # What holds as well and finds no room on a card stands in the evidence.
    said = "\n".join((cards, *(each.text for advice in decision.advice for each in advice.left_out)))
    for name, actual in (
        ("label", decision.label),
        ("rows", sorted(row for row in decision.rows if not row.startswith("course/"))),
        ("course", decision.course),
        ("indicator", worst),
        ("tests", sorted(tests)),
        ("medicines", medicines),
    ):
        wanted = sorted(expect[name]) if name in ("rows", "tests") and name in expect else expect.get(name, actual)
        if wanted != actual:
            found.append(f"{name}: expected {wanted}, got {actual}")
    found += [f"rows_include: {row} is missing in {decision.rows}" for row in expect.get("rows_include", ())
              if row not in decision.rows]  # fmt: skip
    if (first := expect.get("says_first")) and first.casefold() not in first_sentence(decision).casefold():
        found.append(f"says_first: {first!r} is missing in:\n{first_sentence(decision)}")
    levels = {row: advice.indicator for advice in decision.advice for row in (advice.row, *advice.joined)}
    for row, wanted in expect.get("indicators", {}).items():
        if levels.get(row, "none") != wanted:
            found.append(f"indicators: {row}: expected {wanted}, got {levels.get(row, 'none')}")
    later = {name for draft in drafts if draft.kind == "follow-up" for name in draft.id.split()}
    found += [f"has_follow_ups: {each} is missing" for each in expect.get("has_follow_ups", ()) if each not in later]
    found += [f"no_follow_ups: {each} is drafted" for each in expect.get("no_follow_ups", ()) if each in later]
    found += [f"has_tests: {name} is missing in {tests}" for name in expect.get("has_tests", ()) if name not in tests]
    found += [
        f"says: {text!r} is missing in:\n{cards}"
        for text in expect.get("says", ())
        if text.casefold() not in cards.casefold()
    ]
    found += [
        f"evidence_says: {text!r} is missing in:\n{said}"
        for text in expect.get("evidence_says", ())
        if text.casefold() not in said.casefold()
    ]
    found += [
        f"never: {text!r} is in:\n{said}" for text in expect.get("never", ()) if text.casefold() in said.casefold()
    ]
    return found


def first_sentence(decision: Decision) -> str:
    """The first card's summary, and the first sentence of its detail."""
    if not decision.advice:
        return ""
    first = decision.advice[0]
    return f"{first.summary}\n{first.detail.partition('. ')[0]}"


def suppression_faults(played: Evaluation, vignette: Vignette) -> list[str]:
    """In what the cards differ from what is expected of them where something is remembered of their reader."""
    expect, found = vignette.expect, []
    said = "\n".join(f"{card['summary']}\n{card['detail']}" for card in played.cards)
    offered = [each.draft for each in played.offered]
    for name, actual in (
        ("shown", [each.row for each in played.shown]),
        ("suppressed", [each.what for each in played.suppressed]),
        ("offered", offered),
        ("cards", len(played.cards)),
    ):
        if expect.get(name, actual) != actual:
            found.append(f"{name}: expected {expect[name]}, got {actual}")
    found += [
        f"has_offered: {name} is not in {offered}" for name in expect.get("has_offered", ()) if name not in offered
    ]
    found += [f"cards_say: {text!r} is missing in:\n{said}" for text in expect.get("cards_say", ()) if text not in said]
    return found


def decide_with(told_one: Told, pathway: Pathway) -> Decision:
    """The decision on a record by a (perhaps changed) pathway. Findings follow from thresholds, never from rows."""
    judge = decide_orders if told_one.record.selected else decide
    if pathway.thresholds is told_one.assessment.case.pathway.thresholds:
        return judge(told_one.assessment, pathway)
    return judge(assess(told_one.record, pathway, told_one.vignette.as_of), pathway)


def with_row(pathway: Pathway, table: str, rows: tuple) -> Pathway:
    """The pathway with another table."""
    return replace(pathway, **{table: rows})


def corpus() -> Path | None:
    """The folder of real and synthetic FHIR, if this machine has it."""
    folder = os.environ.get("CORPUS_DIR")
    return Path(folder) if folder else None
