"""The report of an examination: typed facts that are printed for a reader, or as one JSON document under stable names.

Lines to paste stand alone, unwrapped, as they go into their file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..commands.display import unstyled
from ..content.content import Content
from ..fhir.labs import OUTCOMES
from .examine import Examination
from .fhir_server import Privacy, shown
from .overlay import UNIT_DOUBTS, Unmapped
from .survey import Code, CodeInUnit, Search, families_of
from .trials import Timing, Trial

OTHERS, OTHERS_PRINTED = 200, 20  # local codes of what is none of ours: in the document, and on the terminal
CODES_PRINTED = 8  # of one medicine
LATER = "Check each line with the laboratory before you paste it: a name is no proof."
COLOURS = {"yes": "green", "partly": "yellow", "no": "red", "unknown": "yellow"}


class Fact(msgspec.Struct, rename="camel"):
    """A part of the report; its fields are the names in the document."""


class ServerFact(Fact):
    software: str
    fhir_version: str


class SetFact(Fact):
    works: str
    keys: list[str]


class TemplateFact(Fact):
    key: str
    type: str
    sets: list[str]
    answered: bool
    states: dict[str, int]
    reason: str
    found: int
    slowest_ms: float
    listed: bool
    parameters_not_listed: list[str]
    without_patient: bool


class ParameterFact(Fact):
    type: str
    parameter: str
    effect: str
    how: str


class CategoryFact(Fact):
    type: str
    category: str
    found: int
    note: str


class CallFact(Fact):
    prefetch: str
    allowed_ms: float
    calls: int
    median_ms: float
    slowest_ms: float
    statuses: dict[str, int]
    whole: int
    not_had: dict[str, int]


class CodeFact(Fact):
    system: str
    code: str
    display: str
    count: int


class OtherCodeFact(CodeFact):
    """A local code that is none of ours by its name, with the unit that comes with it."""

    unit: str


class UnitFact(Fact):
    unit: str
    count: int
    accepted: bool
    doubt: str


class AnalyteFact(Fact):
    id: str
    display: str
    results: int
    codes: list[CodeFact]
    units: list[UnitFact]
    families: list[str]
    not_mapped: int
    without_code: int


class MedicineFact(Fact):
    id: str
    display: str
    by_code: int
    by_words: int
    codes: list[CodeFact]


class DroppedFact(Fact):
    """What a call would leave out: of a resource type, or of the results of a test."""

    what: str
    reason: str
    count: int


class UnmappedFact(CodeFact):
    concept: str
    units: dict[str, int]
    line: str
    why_not: str


class Report(Fact):
    """Everything that was found out, without an id of a patient."""

    content_version: str
    server: ServerFact
    works: str
    prefetch: str
    verdict: list[str]
    clean: bool
    patients: int
    unsupported_types: list[str]
    sets: dict[str, SetFact]
    templates: list[TemplateFact]
    parameters: list[ParameterFact]
    categories: list[CategoryFact]
    calls: list[CallFact]
    asked: list[Search]
    analytes: list[AnalyteFact]
    medicines: list[MedicineFact]
    dropped: list[DroppedFact]
    other_medicine_codes: list[CodeFact]
    unmapped: list[UnmappedFact]
    overlay: dict[str, list[str]]
    questions: list[str]
    remarks: list[str]
    other_codes: list[OtherCodeFact]


def document(report: Report) -> dict[str, Any]:
    """The report as plain values for JSON."""
    values: dict[str, Any] = msgspec.to_builtins(report)
    return values


def report_of(found: Examination, content: Content) -> Report:
    """The facts of an examination."""
    privacy = found.survey.privacy
    return Report(
        content_version=content.version,
        server=ServerFact(found.capability.software, found.capability.fhir_version),
        works=found.verdict.works,
        prefetch=found.verdict.prefetch,
        verdict=list(found.verdict.sentences),
        clean=found.overlay.clean,
        patients=len(found.sample.ids),
        unsupported_types=unsupported_types(found.trials),
        sets={name: SetFact(fit.works, list(content.prefetch[name])) for name, fit in found.fits.items()},
        templates=[of_trial(trial, content) for trial in found.trials.values()],
        parameters=[ParameterFact(each.kind, each.parameter, each.effect, each.how) for each in found.effects],
        categories=[CategoryFact(each.kind, each.category, each.found, each.note) for each in found.categories],
        calls=[of_timing(timing) for timing in found.timings],
        asked=found.survey.searches,
        analytes=of_analytes(found, content, privacy),
        medicines=of_medicines(found, content, privacy),
        dropped=of_dropped(found, content),
        other_medicine_codes=[
            of_code(code, times, privacy)
            for code, times in found.survey.medicines.others.most_common()
            if not code.known_system
        ][:OTHERS],
        unmapped=[of_unmapped(each) for each in found.overlay.unmapped],
        overlay=found.overlay.files,
        questions=found.overlay.questions,
        remarks=found.remarks,
        other_codes=other_codes(found, privacy),
    )


def unsupported_types(trials: Mapping[str, Trial]) -> list[str]:
    """The resource types that the server does not have."""
    return list(dict.fromkeys(trial.kind for trial in trials.values() if trial.unsupported))


def of_trial(trial: Trial, content: Content) -> TemplateFact:
    return TemplateFact(
        key=trial.key,
        type=trial.kind,
        sets=[name for name, keys in content.prefetch.items() if trial.key in keys],
        answered=trial.answered,
        states=dict(trial.states),
        reason=trial.reason,
        found=trial.found,
        slowest_ms=milliseconds(trial.slowest),
        listed=not trial.unlisted,
        parameters_not_listed=sorted(trial.unnamed),
        without_patient=trial.without_patient,
    )


def of_timing(timing: Timing) -> CallFact:
    return CallFact(
        prefetch=timing.prefetch,
        allowed_ms=milliseconds(timing.allowed),
        calls=timing.calls,
        median_ms=milliseconds(timing.median),
        slowest_ms=milliseconds(timing.slowest),
        statuses={str(status): times for status, times in sorted(timing.statuses.items())},
        whole=timing.whole,
        not_had=dict(timing.given_up.most_common()),
    )


def of_analytes(found: Examination, content: Content, privacy: Privacy) -> list[AnalyteFact]:
    """Each analyte, those that were not found too: that is what a person looks for."""
    rows = []
    for name in content.analytes:
        counted = found.survey.labs.mapped.get(name, Counter())
        rows.append(
            AnalyteFact(
                id=name,
                display=content.displays[name],
                results=sum(counted.values()),
                codes=[of_code(code, times, privacy) for code, times in by_code(counted).most_common()],
                units=of_units(name, counted, privacy),
                families=sorted(families_of(counted)),
                not_mapped=sum(found.survey.labs.suspected.get(name, Counter()).values()),
                without_code=found.survey.labs.uncoded[name],
            )
        )
    return rows


def of_medicines(found: Examination, content: Content, privacy: Privacy) -> list[MedicineFact]:
    """Each ingredient that was found."""
    tally = found.survey.medicines
    names = dict.fromkeys([*tally.by_code, *tally.by_words, *tally.uncoded])
    return [
        MedicineFact(
            id=name,
            display=content.displays[name],
            by_code=sum(tally.by_code.get(name, Counter()).values()),
            by_words=sum(tally.by_words.get(name, Counter()).values()) + tally.uncoded[name],
            codes=[of_code(*each, privacy) for each in tally.by_code.get(name, Counter()).most_common()],
        )
        for name in names
    ]


def of_dropped(found: Examination, content: Content) -> list[DroppedFact]:
    """The most frequent first. A test is named by its display, and a doubt by its sentence."""
    return [
        DroppedFact(content.displays.get(what, what), content.messages.get(f"doubt.{reason}", reason), times)
        for (what, reason), times in found.survey.dropped.most_common()
    ]


def by_code(counted: Mapping[CodeInUnit, int]) -> Counter[Code]:
    """The counts by code alone, whatever name stands with it."""
    found: Counter[Code] = Counter()
    displays: dict[tuple[str, str], Code] = {}
    for each, times in counted.items():
        found[displays.setdefault(each.code[:2], each.code)] += times
    return found


def of_units(analyte: str, counted: Mapping[CodeInUnit, int], privacy: Privacy) -> list[UnitFact]:
    """Each text of a unit, how often, and whether it is accepted. A test that is positive or negative needs none."""
    counts: Counter[tuple[str, str]] = Counter()
    for each, times in counted.items():
        counts[each.unit, "" if analyte in OUTCOMES else each.doubt] += times
    return [
        UnitFact(privacy.show(unit), times, doubt not in UNIT_DOUBTS, doubt)
        for (unit, doubt), times in counts.most_common()
    ]


def of_code(code: Code, times: int, privacy: Privacy) -> CodeFact:
    return CodeFact(privacy.show(code.system), shown(code.code), privacy.show(code.display), times)


def of_unmapped(each: Unmapped) -> UnmappedFact:
    return UnmappedFact(
        each.system, each.code, each.display, each.count, each.concept, dict(each.units), each.line, each.why_not
    )


def other_codes(found: Examination, privacy: Privacy) -> list[OtherCodeFact]:
    """Local codes of results that are none of ours as far as their name says: worth a look by one who knows them."""
    counts = [(code, unit, times) for (code, unit), times in found.survey.labs.others.items() if not code.known_system]
    counts.sort(key=lambda each: (-each[2], each[0], each[1]))
    return [
        OtherCodeFact(
            privacy.show(code.system), shown(code.code), privacy.show(code.display), times, privacy.show(unit)
        )
        for code, unit, times in counts[:OTHERS]
    ]


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def show(out: Console, report: Report) -> None:
    """Print the report."""
    server = report.server
    title(out, "Server")
    out.print(unstyled(f"{server.software or 'it does not say its name'}, FHIR {server.fhir_version or 'not said'}"))
    out.print(unstyled(f"Tried with {report.patients} patients; content {report.content_version}."))
    title(out, "Would the service work there?")
    for number, sentence in enumerate(report.verdict):
        out.print(Text(unstyled(sentence).plain, style="" if number else f"bold {COLOURS[report.works]}"))
    show_calls(out, report.calls)
    show_templates(out, report.templates)
    show_parameters(out, report.parameters)
    show_categories(out, report.categories)
    show_asked(out, report.asked)
    show_analytes(out, report.analytes)
    show_medicines(out, report.medicines)
    show_dropped(out, report.dropped)
    show_codes(out, "Further local codes of results: none of ours by their name", report.other_codes)
    show_codes(out, "Local codes of medicines that say nothing to the service", report.other_medicine_codes)
    show_list(out, "Remarks", report.remarks)
    show_list(out, "Questions to the laboratory", report.questions)
    show_overlay(out, report)


def title(out: Console, text: str) -> None:
    out.print(Text(f"\n{text}", style="bold"))


def show_calls(out: Console, calls: Iterable[CallFact]) -> None:
    title(out, "A call without prefetch")
    for each in calls:
        if not each.calls:
            out.print(unstyled(f"{each.prefetch}: not tried, there is no patient."))
            continue
        given_up = ", ".join(f"{key} ({times}x)" for key, times in each.not_had.items())
        out.print(
            unstyled(
                f"{each.prefetch}: median {each.median_ms:.0f} ms, slowest {each.slowest_ms:.0f} ms, of "
                f"{each.allowed_ms:.0f} ms allowed; {each.whole} of {each.calls} calls had everything"
                + (f"; not had: {given_up}." if given_up else ".")
            )
        )
        if set(each.statuses) - {"200"}:
            refused = each.calls - each.statuses.get("200", 0)
            out.print(unstyled(f"  {refused} of them would be answered with 412: required data is missing."))


def show_templates(out: Console, templates: Iterable[TemplateFact]) -> None:
    title(out, "Prefetch templates")
    table = columns("key", "sets", "type", "states", "found", "ms", "what is odd")
    for each in templates:
        states = ", ".join(f"{state} {times}x" for state, times in each.states.items())
        odd = [each.reason, "" if each.listed else "its CapabilityStatement does not list the type"]
        if each.parameters_not_listed:
            odd.append(f"its CapabilityStatement does not list: {', '.join(each.parameters_not_listed)}")
        if each.without_patient:
            odd.append("tried over all patients")
        cells = (each.key, "+".join(each.sets), each.type, states, each.found, f"{each.slowest_ms:.0f}")
        row(table, *cells, "; ".join(filter(None, odd)))
    out.print(table)


def show_parameters(out: Console, parameters: Iterable[ParameterFact]) -> None:
    title(out, "Search parameters")
    table = columns("type", "parameter", "effect", "how that was seen")
    for each in parameters:
        row(table, each.type, each.parameter, each.effect, each.how)
    out.print(table if table.row_count else Text("not tried: there is no patient"))


def show_categories(out: Console, categories: Iterable[CategoryFact]) -> None:
    title(out, "By category (a few patients)")
    table = columns("type", "category", "found", "note")
    for each in categories:
        row(table, each.type, each.category or "(without)", each.found, each.note)
    out.print(table if table.row_count else Text("not tried: there is no patient"))


def show_asked(out: Console, asked: Iterable[Search]) -> None:
    title(out, "What the counts below are taken from")
    table = columns("search", "over", "read", "note")
    for each in asked:
        row(table, each.what, each.over, each.found, "; ".join(filter(None, (each.failure, each.cut))))
    out.print(table)


def show_analytes(out: Console, analytes: Iterable[AnalyteFact]) -> None:
    title(out, "Laboratory tests: codes and units that come")
    table = columns("test", "results", "codes", "units", "not mapped")
    for each in analytes:
        codes = "\n".join(f"{code.code} ({code.count})" for code in each.codes)
        units = "\n".join(
            f"{unit.unit or '(none)'} ({unit.count})" + (f" {unit.doubt}" if unit.doubt else "") for unit in each.units
        )
        missing = each.not_mapped + each.without_code
        row(table, each.display, each.results, codes, units, missing or "")
    out.print(table)


def show_medicines(out: Console, medicines: Iterable[MedicineFact]) -> None:
    title(out, "Medicines that come")
    table = columns("ingredient", "by code", "by words", "codes")
    for each in medicines:
        codes = ", ".join(f"{code.code} ({code.count})" for code in each.codes[:CODES_PRINTED])
        more = len(each.codes) - CODES_PRINTED
        row(table, each.display, each.by_code, each.by_words, codes + (f" and {more} more" if more > 0 else ""))
    out.print(table if table.row_count else Text("none of ours"))


def show_codes(out: Console, heading: str, codes: Sequence[CodeFact]) -> None:
    """The most frequent codes; with the unit where a result came with one."""
    if not codes:
        return
    title(out, f"{heading} (the most frequent)")
    with_unit = isinstance(codes[0], OtherCodeFact)
    table = columns("system", "code", "display", *(("unit",) if with_unit else ()), "how often")
    for each in codes[:OTHERS_PRINTED]:
        unit = (each.unit,) if isinstance(each, OtherCodeFact) else ()
        row(table, each.system, each.code, each.display, *unit, each.count)
    out.print(table)


def show_dropped(out: Console, dropped: list[DroppedFact]) -> None:
    title(out, "What a call would leave out")
    table = columns("of", "why", "how often")
    for each in dropped:
        row(table, each.what, each.reason, each.count)
    out.print(table if table.row_count else Text("nothing of what was read"))


def show_list(out: Console, heading: str, lines: list[str]) -> None:
    if lines:
        title(out, heading)
    for line in lines:
        out.print(unstyled(f"- {line}"), soft_wrap=True)  # it may hold a line to paste


def show_overlay(out: Console, report: Report) -> None:
    """What is not mapped, then the lines, file by file."""
    title(out, "Not mapped")
    if report.clean:
        out.print(Text("Nothing: the overlay is clean.", style="green"))
        return
    if not report.overlay:
        out.print(Text("No line to paste; see the questions above."))
        return
    table = columns("code", "display", "units", "how often", "file")
    for each in report.unmapped:
        units = ", ".join(f"{unit or '(none)'} {times}x" for unit, times in each.units.items())
        file = f"value-sets/{each.concept}.csv" if not each.why_not else "(see the questions)"
        row(table, f"{each.system}\n{each.code}", each.display, units, each.count, file)
    if table.row_count:
        out.print(table)
    out.print(Text(f"\nLines for the folder of CDS_SITE_DIR. {LATER}", style="bold"))
    for file, lines in report.overlay.items():
        out.print(Text(f"\nInto {file}:\n", style="bold"))
        for line in lines:
            out.print(unstyled(line), soft_wrap=True)


def columns(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name, justify="right" if name in ("found", "ms", "results", "read", "how often") else "left")
    return table


def row(table: Table, *cells: object) -> None:
    """A row of texts as they are: nothing of a record is read as markup."""
    table.add_row(*(unstyled(str(cell)) for cell in cells))
