"""What one file says about another: every name in a row exists, every row can be reached, every text can be shown.

The names that the content may use, because the program knows them, are the `Vocabulary`: findings, placeholders,
thresholds, groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from cds_service.clinical.bands import BOUNDS
from cds_service.clinical.findings import REGISTRY, RESTS_ON
from cds_service.clinical.tables import Choice, FixedCard, Pathway, Provenance, Regimen, Row, normalise_unit
from cds_service.clinical.wording import LONGEST, PHRASE_VALUES, PLURALS, placeholders

from .codes import Codes
from .elements import Element, sound
from .faults import Faults, listing, nearest
from .shapes import Card, MeasureEntry
from .words import Words

ROUTES = ("im", "sc", "iv", "injection", "oral", "sublingual", "nasal", "other")
TABLES = ("course", "interpret", "treat", "safety", "orders", "notes")
PSEUDO_TESTS = ("repeat", "first-test")  # resolved by clinical/decide.py to an orderable that suits the patient
SHARED_GROUPS = frozenset(("folinic", "methotrexate"))  # read while orders are read from FHIR, by no finding
PROBLEM_GROUPS = REGISTRY.groups("problems")
MEDICINE_GROUPS = REGISTRY.groups("medicines") | SHARED_GROUPS


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What rows may name. A test may pass a smaller one; the service uses `clinical_vocabulary()`."""

    findings: frozenset[str]
    longest: Mapping[str, str]  # placeholder -> the longest value it can take
    thresholds: Mapping[str, str]  # threshold that every pathway must state -> its unit
    problem_groups: frozenset[str] = PROBLEM_GROUPS  # each must have at least one member: an empty one is never true
    medicine_groups: frozenset[str] = MEDICINE_GROUPS
    optional: Mapping[str, str] = field(default_factory=dict)  # threshold that a pathway may state -> its unit
    rests_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # finding -> optional thresholds it needs
    counts_for: Mapping[str, str] = field(default_factory=dict)  # analyte -> the days for which the findings read it
    compared: tuple[tuple[str, str], ...] = ()  # limit and the analyte whose results are compared with it
    words: Mapping[str, str] = field(default_factory=dict)  # "findings.b12_grey", "thresholds.hb-men": what each means


def clinical_vocabulary() -> Vocabulary:
    """The names that `cds_service.clinical` reads and makes."""
    return Vocabulary(
        findings=REGISTRY.names,
        longest=LONGEST,
        thresholds=REGISTRY.stated(optional=False),
        optional=REGISTRY.stated(optional=True),
        rests_on=RESTS_ON,
        counts_for=REGISTRY.counts_for,
        compared=tuple((each.limit, each.analyte) for each in REGISTRY.probes),
        words=REGISTRY.words,
    )


def with_own(words: Vocabulary, pathway: Pathway, faults: Faults) -> Vocabulary:
    """With the findings, limits and placeholders that the pathway's own limits add (a threshold with `analyte`)."""
    findings, units, longest = set(words.findings), dict(words.optional), dict(words.longest)
    for analyte in pathway.analytes.values():
        if analyte.current not in words.thresholds:
            units[analyte.current] = "days"
    for threshold in pathway.compared:
        place = f'{pathway.id}/thresholds.toml threshold "{threshold.id}"'
        known = pathway.analytes.get(threshold.analyte)
        if known is None:
            faults.unknown(place, "analyte", threshold.analyte, pathway.analytes)
            continue
        if normalise_unit(threshold.unit) not in known.units:
            spellings = {unit.spelling for unit in known.units.values()}
            faults.unknown(place, f"unit of {known.id}", threshold.unit, spellings)
        for kind, name, taken in (
            ("finding", threshold.makes, words.findings),
            ("threshold", threshold.id, words.thresholds.keys() | words.optional.keys()),
        ):
            if name in taken:
                faults.add(place, f"the program has a {kind} {name!r} already; a limit of your own needs another name")
        findings.add(threshold.makes)
        units[threshold.id] = threshold.unit
        for name in placeholders(known.id):
            if name in words.longest and known.id not in words.counts_for:
                other = f"the program has a placeholder {name!r} for something else, which a card would show"
                faults.add(f'analytes.toml "{known.id}"', f"{other}: give the analyte another id")
            longest.setdefault(name, LONGEST["b12_date" if name.endswith("_date") else "b12"])
    return replace(words, findings=frozenset(findings), optional=units, longest=longest)


def words_of_own(pathway: Pathway) -> dict[str, str]:
    """What the pathway's own limits, and the findings that they make, mean in plain words."""
    found: dict[str, str] = {}
    for each in pathway.compared:
        display, side = pathway.displays.get(each.analyte, each.analyte), "below" if each.below else "above"
        before = found.get(f"findings.{each.makes}", "")
        said = f"{display} is {side} its limit"
        found[f"findings.{each.makes}"] = f"{before} or {said}" if before and said not in before else before or said
        found[f"thresholds.{each.id}"] = f"{display}: {side}"
    return found


TOTAL_TABLES = ("course", "interpret", "treat")  # the first match wins, and there is always one


def check_pathway(pathway: Pathway, known: Mapping[str, Iterable[str]], words: Vocabulary, faults: Faults) -> None:
    """All checks of one pathway. `known`: ids by kind, those of elements that are faulty themselves included."""
    check_thresholds(pathway, known["thresholds"], words, faults)
    for table in TABLES:
        rows: tuple[Row, ...] = getattr(pathway, table)
        for row in rows:
            check_findings(row_place(pathway.id, row), row, known["thresholds"], words, faults)
            check_named(row_place(pathway.id, row), row, known, faults)
            check_condition(row_place(pathway.id, row), row, faults)
        if table in TOTAL_TABLES and (rows or table != "course"):  # a pathway may tell nothing of a course
            check_total(f"{pathway.id}/{table}.toml", pathway.id, rows, faults)
    check_follow_ups(pathway, known, words, faults)
    for place, origin in provenances(pathway):
        if origin.source not in known["sources"]:
            faults.unknown(place, "source", origin.source, known["sources"])
    if pathway.card_source not in known["sources"]:
        faults.unknown(f"{pathway.id}/pathway.toml card_source", "source", pathway.card_source, known["sources"])


def check_follow_ups(pathway: Pathway, known: Mapping[str, Iterable[str]], words: Vocabulary, faults: Faults) -> None:
    """What is to be done later names tests and findings that there are: else it would never be drafted."""
    for each in pathway.follow_ups.values():
        place = f'{pathway.id}/follow-ups.toml follow_up "{each.id}"'
        if each.orderable and each.orderable not in known["orderables"]:
            faults.unknown(place, "orderable", each.orderable, known["orderables"])
        for name in dict.fromkeys((*each.when, *each.any, *each.unless)):
            check_finding(place, name, known["thresholds"], words, faults)
        for name in sorted(set(each.when) & set(each.unless)):
            faults.add(place, f"{name!r} is in when and in unless: it is never drafted")


THRESHOLD_IN_WORDS = re.compile(r"\{([^}]*)\}")


def check_measures(
    elements: Mapping[str, list[Element]], pathways: Sequence[Pathway], words: Vocabulary, faults: Faults
) -> None:
    """What is counted in a population names findings, courses and sources that there are."""
    known = {*words.findings, *(each.makes for pathway in pathways for each in pathway.compared)}
    courses = {row.id for pathway in pathways for row in pathway.course}
    sources = [each.id for each in elements["sources.toml"]]
    for element in sound(elements["measures.toml"]):
        measure: MeasureEntry = element.shape
        for kind, names, allowed in (
            ("finding", (*measure.when, *measure.any, *measure.unless), known),
            ("course", measure.courses, courses),
            ("source", (measure.source,), sources),
        ):
            for name in names:
                if name not in allowed:
                    faults.unknown(element.place, kind, name, allowed)
        for pathway in pathways:
            for name in sorted({*THRESHOLD_IN_WORDS.findall(measure.meaning)} - {*pathway.thresholds}):
                faults.unknown(element.place, f"threshold of {pathway.id}", name, pathway.thresholds)


def check_priorities(elements: Mapping[str, list[Element]], faults: Faults) -> None:
    """How urgent a Task is, is said for every indicator of a card or for none, and by a source that there is."""
    found = list(sound(elements["tasks.toml"]))
    if missing := sorted(set(get_args(Card)) - {each.id for each in found}) if found else []:
        faults.add("tasks.toml", f"says not how urgent a Task is for {', '.join(missing)}")
    sources = [each.id for each in elements["sources.toml"]]
    for each in found:
        if each.shape.source not in sources:
            faults.unknown(each.place, "source", each.shape.source, sources)


def row_place(pathway: str, row: Row) -> str:
    return f'{pathway}/{row.table}.toml row "{row.id}"'


def provenances(pathway: Pathway) -> Iterable[tuple[str, Provenance]]:
    """Everything in a pathway that names a source, with its place."""
    for table in TABLES:
        for row in getattr(pathway, table):
            if row.provenance is not None:
                yield row_place(pathway.id, row), row.provenance
    for file, items in (
        ("thresholds", pathway.thresholds),
        ("orderables", pathway.orderables),
        ("regimens", pathway.regimens),
        ("follow-ups", pathway.follow_ups),
    ):
        for item in items.values():
            yield f'{pathway.id}/{file}.toml {file[:-1]} "{item.id}"', item.provenance
    for card in pathway.fixed.values():
        yield f"{pathway.id}/pathway.toml fixed.{card.id}", card.provenance
    for analyte in pathway.analytes.values():
        if analyte.provenance is not None:
            yield f'analytes.toml "{analyte.id}"', analyte.provenance


def check_thresholds(pathway: Pathway, stated: Iterable[str], words: Vocabulary, faults: Faults) -> None:
    """Every number that the program asks for is there, in its unit, and bands do not cross."""
    place = f"{pathway.id}/thresholds.toml"
    for name in sorted(words.thresholds.keys() - set(stated)):
        faults.add(place, f"the threshold {name!r} is missing (unit {words.thresholds[name]!r})")
    for analyte in pathway.analytes.values():
        if analyte.current not in {*stated, *words.thresholds}:
            faults.add(place, f"the threshold {analyte.current!r} is missing (unit 'days'): {analyte.id} counts for it")
        if analyte.current != words.counts_for.get(analyte.id, analyte.current):
            read = words.counts_for[analyte.id]
            faults.add(f'analytes.toml "{analyte.id}"', f"current is {analyte.current!r}; the findings read {read!r}")
    units = {**words.thresholds, **words.optional}
    for name, threshold in pathway.thresholds.items():
        if name not in units:
            meant = nearest(name, units, alike=0.8)
            faults.add(place, f"nothing reads the threshold {name!r}.{meant} A limit of your own says 'analyte', and "
                              f"the finding that it makes in 'below' or 'above'. Known: {listing(units)}")  # fmt: skip
        elif threshold.unit != units[name]:
            wanted = units[name]
            faults.add(f'{place} threshold "{name}"', f"unit is {threshold.unit!r}; it must be {wanted!r}")
    check_compared(place, pathway, words, faults)
    for low, high in BOUNDS.values():
        edges = [pathway.thresholds[name] for name in (low, high) if name in pathway.thresholds]
        if len(edges) == 2 and edges[0].value > edges[1].value:
            faults.add(place, f"{low!r} ({edges[0].value}) lies above {high!r} ({edges[1].value})")


def check_compared(place: str, pathway: Pathway, words: Vocabulary, faults: Faults) -> None:
    """A limit of the program with which a result is compared has a unit of that result: else none would ever count."""
    for name, compared in words.compared:
        analyte, threshold = pathway.analytes.get(compared), pathway.thresholds.get(name)
        if analyte and threshold and normalise_unit(threshold.unit) not in analyte.units:
            spellings = {unit.spelling for unit in analyte.units.values()}
            faults.unknown(f'{place} threshold "{name}"', f"unit of {compared}", threshold.unit, spellings)


def check_findings(place: str, row: Row, stated: Iterable[str], words: Vocabulary, faults: Faults) -> None:
    """Every condition of the row, of its choices, raises and exceptions is a finding, and has its numbers."""
    used = [*row.when, *row.any, *row.unless, *row.no_card, *([row.removes] if row.removes else ())]
    used += [name for _, names in (*row.raised, *row.treat_when) for name in names]
    used += [name for choice in (*row.tests, *row.regimens) for name in (*choice.when, *choice.any, *choice.unless)]
    for name in dict.fromkeys(used):
        check_finding(place, name, stated, words, faults)


def check_finding(place: str, name: str, stated: Iterable[str], words: Vocabulary, faults: Faults) -> None:
    """There is such a finding, and the pathway states the numbers on which it rests."""
    if name not in words.findings:
        faults.unknown(place, "finding", name, words.findings)
    for threshold in sorted(set(words.rests_on.get(name, ())) - set(stated)):
        wanted = f"{threshold!r} (unit {words.optional[threshold]!r})"
        faults.add(place, f"the finding {name!r} rests on the threshold {wanted}, which the pathway does not state")


def check_named(place: str, row: Row, known: Mapping[str, Iterable[str]], faults: Faults) -> None:
    """Tests, regimens and the rows that a note is added to exist."""
    for kind, names, allowed in (
        ("orderable", [choice.id for choice in row.tests], (*known["orderables"], *PSEUDO_TESTS)),
        ("regimen", [choice.id for choice in row.regimens], tuple(known["regimens"])),
        ("table or row", row.on, (*TABLES, *known["rows"])),
        ("choice of this row to recommend", row.recommended, [each.id for each in (*row.tests, *row.regimens)]),
    ):
        for name in names:
            if name not in allowed:
                faults.unknown(place, kind, name, allowed)


def check_condition(place: str, row: Row, faults: Faults) -> None:
    """A finding both asked for and excluded makes a row that never holds; only a safety row speaks alone."""
    if row.speaks_alone and not (row.table == "safety" or (row.table == "orders" and row.id.startswith("S"))):
        faults.add(place, "speaks_alone is for safety rows")
    for name in sorted(set(row.when) & set(row.unless)):
        faults.add(place, f"{name!r} is in when and in unless: the row never holds")
    check_any(place, row, faults)
    for choice in (*row.tests, *row.regimens):
        check_any(place, choice, faults)
        for name in (set(choice.when) | set(row.when)) & (set(choice.unless) | set(row.unless)):
            faults.add(place, f"{choice.id!r} is never chosen: it needs and excludes {name!r}")


def check_any(place: str, row: Row | Choice, faults: Faults) -> None:
    """`any` asks for one of several findings that the row neither needs nor excludes anyway."""
    if len(row.any) == 1:
        faults.add(place, f"any names {row.any[0]!r} alone: that belongs into when")
    for name in row.any:
        if name in row.when:
            faults.add(place, f"{name!r} is in when and in any: any asks for nothing more")
        if name in row.unless:
            faults.add(place, f"{name!r} is in any and in unless: it never counts")


def takes_all_of(earlier: Row, row: Row) -> bool:
    """Does the earlier row hold for every patient for whom the later one does?"""
    has_any = (
        not earlier.any
        or bool(set(earlier.any) & set(row.when))
        or (bool(row.any) and set(row.any) <= set(earlier.any))
    )
    return has_any and set(earlier.when) <= set(row.when) and set(earlier.unless) <= set(row.unless)


def check_total(file: str, pathway: str, rows: Sequence[Row], faults: Faults) -> None:
    """The last row takes whoever is left; no earlier row takes everybody that a later one could."""
    if not rows:
        faults.add(file, "the table has no rows")
        return
    if rows[-1].when or rows[-1].unless or rows[-1].any:
        faults.add(row_place(pathway, rows[-1]), "the last row must have no condition, so that the table is total")
    for number, row in enumerate(rows):
        for earlier in rows[:number]:
            if takes_all_of(earlier, row):
                faults.add(row_place(pathway, row), f"no patient can reach it: row {earlier.id!r} before it takes all")
                break


def check_orders(pathway: Pathway, codes: Codes, words: Words, faults: Faults) -> None:
    """What we draft we must recognise when it comes back as an order."""
    for orderable in pathway.orderables.values():
        place = f'{pathway.id}/orderables.toml orderable "{orderable.id}"'
        for analyte in orderable.measures:
            if analyte not in pathway.analytes:
                faults.unknown(place, "analyte", analyte, pathway.analytes)
        own = {f"order-{orderable.id}", *(f"lab-{analyte}" for analyte in orderable.measures)}
        codings = (*((orderable.coding,) if orderable.coding else ()), *orderable.more_codings)
        for system, code, _ in codings:
            if not own & {use.concept for use in codes.find(system, code)}:
                faults.add(place, f"the code {code!r} of {system} is in no value set {' or '.join(sorted(own))}")
    for regimen in pathway.regimens.values():
        place = f'{pathway.id}/regimens.toml regimen "{regimen.id}"'
        check_regimen(place, regimen, pathway, faults, codes=codes, words=words)


def check_regimen(
    place: str, regimen: Regimen, pathway: Pathway, faults: Faults, *, codes: Codes, words: Words
) -> None:
    """The ingredient is known, its name begins the text, and text and codes are recognised as that ingredient."""
    known = {name for members in pathway.groups.values() for name in members} & pathway.displays.keys()
    if regimen.ingredient not in known:
        faults.unknown(place, "ingredient", regimen.ingredient, known)
        return
    for other in regimen.also:
        if other not in known:
            faults.unknown(place, "ingredient", other, known)
    if regimen.under_skin and regimen.under_skin not in pathway.regimens:
        faults.unknown(place, "regimen", regimen.under_skin, pathway.regimens)
    if not regimen.text.lower().startswith(pathway.displays[regimen.ingredient].lower()):
        faults.add(place, f"text must begin with the ingredient, {pathway.displays[regimen.ingredient]!r}")
    if words.find(regimen.text, "medicine") != (regimen.ingredient,):
        found = ", ".join(words.find(regimen.text, "medicine")) or "nothing"
        faults.add(place, f"by its words the text is recognised as {found}, not as {regimen.ingredient}")
    for system, code, _ in regimen.codings:
        if f"medicine-{regimen.ingredient}" not in {use.concept for use in codes.find(system, code)}:
            faults.add(place, f"the code {code!r} of {system} is not in value set 'medicine-{regimen.ingredient}'")


LONGEST_SUMMARY = 139  # CDS Hooks: fewer than 140 characters; counted as UTF-16 units, the strictest way
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")
HTML = re.compile(r"<[A-Za-z/!][^>]*>?|&[a-z]+;")
COURSE_FILE = "/course.toml "
IMAGE = re.compile(r"!\[")


def check_wording(pathway: Pathway, words: Vocabulary, faults: Faults) -> None:
    """The texts of every row and fixed card, and their topics."""
    topics: dict[str, str] = {}
    for place, text in cards(pathway):
        if isinstance(text, Row):
            check_complete(place, text, faults)
        check_text(place, "summary", text.summary, words.longest, faults)
        check_text(place, "detail", text.detail, words.longest, faults)
        check_summary(place, text.summary, words.longest, faults)
        other = topics.setdefault(text.topic, place) if text.topic else place
        if other != place and not (COURSE_FILE in place and COURSE_FILE in other):  # of the course one row speaks
            faults.add(place, f"the topic {text.topic!r} is already that of {topics[text.topic]}")
    for place, name, fixed in plain_texts(pathway):
        check_text(place, name, fixed, {}, faults)


def cards(pathway: Pathway) -> Iterable[tuple[str, Row | FixedCard]]:
    for table in TABLES:
        for row in getattr(pathway, table):
            yield row_place(pathway.id, row), row
    for card in pathway.fixed.values():
        yield f"{pathway.id}/pathway.toml fixed.{card.id}", card


def plain_texts(pathway: Pathway) -> Iterable[tuple[str, str, str]]:
    """What drafts and their buttons say: no placeholders here."""
    for regimen in pathway.regimens.values():
        place = f'{pathway.id}/regimens.toml regimen "{regimen.id}"'
        for name in ("title", "words", "text"):
            yield place, name, getattr(regimen, name)
        for phase in regimen.phases:
            yield place, f"phase {phase.id!r} words", phase.words
    for orderable in pathway.orderables.values():
        yield f'{pathway.id}/orderables.toml orderable "{orderable.id}"', "title", orderable.title


def check_phrases(place: str, phrases: Mapping[str, str], faults: Faults) -> None:
    """A phrase holds only the values that the program puts into it: with another one, each answer would fail that says
    it."""
    for key, phrase in phrases.items():
        check_text(f'{place} "{key}"', "phrase", phrase, dict.fromkeys(PHRASE_VALUES.get(key, ()), ""), faults)
    if (months := len(phrases.get("date.months", MONTHS).split(" | "))) != 12:
        faults.add(f'{place} "date.months"', f"names {months} months, divided by ' | '; a year has 12")
    if (rule := phrases.get("plural", "none")) not in PLURALS:
        faults.add(f'{place} "plural"', f"is {rule!r}; allowed: {listing(PLURALS)}")


MONTHS = " | ".join("JFMAMJJASOND")  # where a pathway says nothing of them


def check_complete(place: str, row: Row, faults: Faults) -> None:
    """A row that can become a card has everything that a card needs."""
    if row.indicator == "none" and not row.raised:
        return
    missing = [name for name in ("summary", "detail", "topic") if not getattr(row, name)]
    if missing:
        faults.add(place, f"missing {', '.join(missing)}: its indicator can be other than none")


def check_text(place: str, name: str, text: str, longest: Mapping[str, str], faults: Faults) -> None:
    """Placeholders that exist, no stray brace, no HTML and no image (not every client shows them)."""
    for placeholder in dict.fromkeys(PLACEHOLDER.findall(text)):
        if placeholder not in longest:
            faults.unknown(f"{place} {name}", "placeholder", placeholder, longest)
    rest = PLACEHOLDER.sub("", text)
    if "{" in rest or "}" in rest:
        faults.add(f"{place} {name}", "a brace that belongs to no placeholder like {b12}")
    if tag := HTML.search(text):
        faults.add(f"{place} {name}", f"HTML is not allowed: {tag[0]!r}")
    if IMAGE.search(text):
        faults.add(f"{place} {name}", "images are not allowed")


def check_summary(place: str, summary: str, longest: Mapping[str, str], faults: Faults) -> None:
    """One line that fits, even with the longest values."""
    if "\n" in summary:
        faults.add(f"{place} summary", "must be one line")
    full = PLACEHOLDER.sub(lambda match: longest.get(match[1], match[0]), summary)
    units = len(full.encode("utf-16-le")) // 2
    if units > LONGEST_SUMMARY:
        faults.add(f"{place} summary", f"is {units} characters long with its longest values; at most {LONGEST_SUMMARY}")
