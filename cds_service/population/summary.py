"""`b12-cds population summary`: what a run has found, counted: for people, as JSON, and as a FHIR MeasureReport.

Counts only: no patient is named. What a measure counts, its words and its source stand in cards/measures.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from ..clinical.tables import Pathway
from ..clinical.wording import decimal_text
from ..content.content import Content
from ..content.shapes import MeasureEntry
from .decisions import OUT_OF_SCOPE, label_text
from .grouping import Means, database
from .run import LEAST_MEMORY, Manifest, RunRefused, decisions_query, read_manifest, write_whole

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Json = dict[str, Any]
SUMMARY, REPORT = "summary.json", "measure-report.json"
POPULATIONS = "http://terminology.hl7.org/CodeSystem/measure-population"
CANONICAL = "urn:uuid:"  # this project owns no domain to publish a Measure under
CHARTS = 1000


class Summary(msgspec.Struct, frozen=True):
    """The counts of one run. `measures` by the id of the measure, `meanings` what it counts; `not_judged` is entry by
    entry, `unavailable` patient by patient."""

    content: str
    digest: str
    pathway: str
    as_of: date
    extract_of: str
    patients: int
    in_scope: int
    labels: dict[str, int]
    courses: dict[str, int]
    measures: dict[str, int]
    meanings: dict[str, str]
    indicators: dict[str, int]
    cards: int
    cards_per_1000_charts: float
    charts_with_a_card_per_1000: float
    not_judged: dict[str, int]
    unavailable: dict[str, int]
    not_exported: tuple[str, ...]
    entries_of_nobody: dict[str, int]


def summarised(out: Path, content: Content) -> Summary:
    """The summary of a run that is done, by the content that made it."""
    manifest = read_manifest(out)
    if not manifest.done:
        raise RunRefused(f"{out}: the run has not ended; the same call of `population run` goes on with it")
    if content.digest != manifest.digest:
        raise RunRefused(
            f"{out}: was decided by content {manifest.content} ({manifest.digest[:12]}), and this is {content.version} "
            f"({content.digest[:12]}); allowed: the content, and the --site, of the run"
        )
    import duckdb

    try:
        with database(Means(LEAST_MEMORY * 4, 1, out / "work")) as opened:
            opened.execute(f"create view decisions as {decisions_query(out, manifest)}")
            return counted(opened, manifest, content)
    except duckdb.Error:  # its message may repeat a row
        raise RunRefused(
            f"{out / manifest.decisions}: is not what the run wrote; allowed: that file as it was, or another run "
            "into another --out"
        ) from None


def counted(opened: DuckDBPyConnection, manifest: Manifest, content: Content) -> Summary:
    """Everything that is counted, from the view `decisions`."""
    patients, in_scope, cards, with_card = numbers(
        opened, f"count(*), count(*) filter (label <> '{OUT_OF_SCOPE}'), sum(cards), count(*) filter (cards > 0)"
    )
    measures = by_name(opened, "unnest(measures)")
    return Summary(
        content=manifest.content,
        digest=manifest.digest,
        pathway=manifest.pathway,
        as_of=manifest.as_of,
        extract_of=manifest.extract_of,
        patients=patients,
        in_scope=in_scope,
        labels=by_name(opened, "label"),
        courses=by_name(opened, "course"),
        measures={each.id: measures.get(each.id, 0) for each in content.measures},
        meanings={each.id: meaning(each, content.pathways[manifest.pathway]) for each in content.measures},
        indicators=by_name(opened, "indicator"),
        cards=cards,
        cards_per_1000_charts=per_thousand(cards, patients),
        charts_with_a_card_per_1000=per_thousand(with_card, patients),
        not_judged=by_name(opened, "unnest(not_judged)"),
        unavailable=by_name(opened, "unnest(unavailable)"),
        not_exported=tuple(sorted({*manifest.types} - {*manifest.exported})),
        entries_of_nobody=manifest.nobody,
    )


def meaning(measure: MeasureEntry, pathway: Pathway) -> str:
    """What a measure counts, in words, with the numbers of the pathway."""
    limits = {each.id: f"{decimal_text(each.value)} {each.unit}" for each in pathway.thresholds.values()}
    return measure.meaning.strip().format_map(limits)


def numbers(opened: DuckDBPyConnection, what: str) -> list[int]:
    """Numbers over all decisions; of none they are 0."""
    found = opened.execute(f"select {what} from decisions").fetchone() or ()  # noqa: S608
    return [int(each or 0) for each in found]


def by_name(opened: DuckDBPyConnection, what: str) -> dict[str, int]:
    """How many there are of each, the most frequent first; nothing is not counted."""
    rows = opened.execute(
        f"select what, count(*) from (select {what} as what from decisions) where coalesce(what, '') <> '' "  # noqa: S608
        "group by what order by count(*) desc, what"
    ).fetchall()
    return dict(rows)


def per_thousand(count: int, patients: int) -> float:
    return round(count * CHARTS / patients, 1) if patients else 0.0


# For people


def lines(summary: Summary, content: Content) -> Iterator[str]:
    """The summary for the terminal."""
    by = f"{summary.pathway}, content {summary.content}"
    yield f"{summary.patients} patients as of {summary.as_of}, {summary.in_scope} in scope; {by}."
    moment = summary.extract_of or "a day that is not known"
    yield f"The extract is of {moment}: look at the chart before anybody is called."
    yield "A review of what is recorded. Who is not counted may be deficient or treated elsewhere, or was not exported."
    yield from section("Measures", {each.title: summary.measures[each.id] for each in content.measures})
    yield from section("Cards", {
        "cards per 1,000 charts": summary.cards_per_1000_charts,
        "charts with a card, per 1,000": summary.charts_with_a_card_per_1000,
        **{f"charts whose worst card is {name}": count for name, count in summary.indicators.items()},
    })  # fmt: skip
    words = content.pathways[summary.pathway].messages
    yield from section("Labels", {f"{name} ({label_text(name, words)})": n for name, n in summary.labels.items()})
    yield from section("Courses", summary.courses)
    yield from section("Entries that could not be used", summary.not_judged)
    yield from section("Patients without", summary.unavailable)
    yield from section(
        "Entries that name no patient", {name or "no JSON": n for name, n in summary.entries_of_nobody.items()}
    )
    yield ""
    yield "What the measures count"
    yield from (f"  {each.title}: {summary.meanings[each.id]}" for each in content.measures if each.meaning)
    if summary.not_exported:
        yield ""
        yield f"Not exported, and so not known of anybody: {', '.join(summary.not_exported)}"


def section(title: str, counts: Mapping[str, float]) -> Iterator[str]:
    """A heading and its counts; nothing where there are none."""
    if counts:
        yield ""
        yield title
        yield from (f"  {count:>9,}  {name}" for name, count in counts.items())


# As FHIR


def measure_report(summary: Summary, content: Content) -> Json:
    """A FHIR R4 MeasureReport of type summary: a group for each measure, among those in scope."""
    name = uuid5(NAMESPACE_URL, f"b12-cds {summary.digest} {summary.pathway}")
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": f"{CANONICAL}{name}|{summary.content}",
        "date": summary.as_of.isoformat(),
        "period": {"start": summary.as_of.isoformat(), "end": summary.as_of.isoformat()},
        "group": [
            {
                "code": {"coding": [{"code": each.id, "display": each.title}], "text": each.title},
                "population": [
                    population("initial-population", summary.patients),
                    population("denominator", summary.in_scope),
                    population("numerator", summary.measures[each.id]),
                ],
            }
            for each in content.measures
        ],
    }


def population(code: str, count: int) -> Json:
    return {"code": {"coding": [{"system": POPULATIONS, "code": code}]}, "count": count}


def write_summary(out: Path, summary: Summary, content: Content) -> None:
    """summary.json and measure-report.json beside the decisions."""
    for name, document in ((SUMMARY, summary), (REPORT, measure_report(summary, content))):
        write_whole(out / name, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
