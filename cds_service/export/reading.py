"""What the exported library computes of a patient's record: units, bands, the lists of problems and medicines, and what
follows from them.

The rules that are declared as a comparison, "any of", "all of" or a disease in the history become CQL by themselves.
The others are written in `reading.cql`, and only those of which the program's own rule is proven to say the same. What
the record holds and this CQL does not read makes a finding null: it must be given then. Only what a pathway's tables
need is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from ..clinical.advice import MEASURES
from ..clinical.case import HIGHER_IS_WORSE
from ..clinical.findings import REGISTRY
from ..clinical.rules import Rule
from ..clinical.tables import Analyte, Pathway
from .tables import (
    all_of,
    any_of,
    at_hand,
    cases,
    define,
    given_beside_findings,
    in_list,
    is_planned,
    marker_findings,
    parts_of,
    ref,
    repeat_means,
    rests_on_stale,
    text,
)
from .valuesets import EVERY_MEDICINE, group_set

WRITTEN = "reading.cql"
BLOCK = re.compile(r'^define (?:function )?"?([^"(\n]+?)"?(?:\(|:)', re.MULTILINE)
NAMED = re.compile(r'"([^"]+)"')
CALLED = re.compile(r"\b([A-Z][A-Za-z]+)\(")
COMPUTED = "computed "
UNTREATED = (  # false where no B12 is recorded anywhere: nothing of a course can be
    "on_im on_im_by_dose on_im_by_order on_oral on_oral_high oral_low newly_ordered overdue overdue_long due_soon "
    "overdue_booked loading_now loading_hardly_begun loading_review_due loading_stopped loading_unfinished "
    "new_symptoms new_neuro neuro_since_dose symptoms_since_dose response_blood response_iron oral_neuro "
    "oral_deficient persisting persisting_blood deficient_on_injections deficient_before_order answered_deficient "
    "ended_injections lapsed_tablets_urgent injection_order cord_on_treatment ordered_urgent lapsed"
).split()
MEASURED = (
    "haemoglobin", "mcv", "neutrophils", "platelets", "ferritin", "folate", "potassium", "egfr", "mma", "homocysteine",
)  # fmt: skip
B12 = ("b12", "active-b12")
RESOURCES = ("MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration")
LISTS = (
    "pill",
    "anticoagulant",
    "macro-other",
    "homocysteine-raising",
    "box2",
    "folic",
)  # of medicines that findings read
GROUPS = (*LISTS, "cobalamin")  # of medicines that have a value set of their own
NO_B12 = 'if "No B12 is recorded" then false else null'


class Reading(NamedTuple):
    """The definitions that a pathway needs, the value sets that they name, and which parameters they compute."""

    definitions: str
    value_sets: tuple[str, ...]
    computed: dict[str, str]  # parameter -> the definition
    findings: dict[str, list[str]]  # of each part of the Library what it reads, and what that is computed from, beside
    # the parts before it


def reading(pathway: Pathway, value_sets: Iterable[str]) -> Reading:
    """What can be computed for this pathway, of these value sets."""
    known = set(value_sets)
    written = {name: body for name, body in everything(pathway, known) if has_limits(body, pathway)}
    beside = [each.name for each in given_beside_findings(pathway)]
    needed, findings, before = set[str](), dict[str, list[str]](), set[str]()
    for part in parts_of(pathway):
        definitions, found = reached([*part.needs, *beside], written)
        needed |= definitions
        findings[part.title] = [each for each in found if each not in before]
        before |= set(found)
    body = [text_ for name, text_ in written.items() if name in needed]
    searched = sorted({name for each in body for name in re.findall(r'\[\w+: "([^"]+)"\]', each)})
    computed = {name: COMPUTED + name for name in (*sorted(before), *beside) if COMPUTED + name in written}
    return Reading("\n".join(body), tuple(searched), computed, findings)


def everything(pathway: Pathway, known: set[str]) -> Iterator[tuple[str, str]]:
    """Every definition that there is, by its name."""
    yield from limits(pathway)
    yield from laboratory(pathway, known)
    yield from lists(pathway, known)
    written = dict(blocks())
    yield from written.items()
    yield from beside_findings(pathway, known)
    for rule in REGISTRY.made:
        name = COMPUTED + rule.name
        if name not in written and (found := by_declaration(rule, pathway)):
            yield name, define(name, found)


@cache
def blocks() -> tuple[tuple[str, str], ...]:
    """The definitions of `reading.cql`."""
    source = files(__package__).joinpath(WRITTEN).read_text(encoding="utf-8")
    source = re.sub(r"^/\* ---.*?\*/\n", "", source, flags=re.MULTILINE)
    parts = re.split(r"\n(?=/\*|define )", source)
    joined: list[str] = []
    for part in parts:
        if joined and joined[-1].lstrip().startswith("/*") and "\ndefine " not in f"\n{joined[-1]}":
            joined[-1] += "\n" + part  # a comment stands with what follows it
        elif part.strip():
            joined.append(part)
    return tuple((match[1], f"{part.strip()}\n") for part in joined if (match := BLOCK.search(part)))


def has_limits(body: str, pathway: Pathway) -> bool:
    """Does the pathway state every limit that a definition names?"""
    limits = re.findall(r'"(?:limit|since|days) ([a-z0-9-]+)"', body)
    return all(name in pathway.limits for name in limits)


def reached(start: list[str], written: dict[str, str]) -> tuple[set[str], list[str]]:
    """(definitions, findings) that these findings need."""
    findings = {name for name in start if name in REGISTRY.rules}
    definitions, waiting = set[str](), [COMPUTED + name for name in start]
    while waiting:
        name = waiting.pop()
        if name in definitions or name not in written:
            continue
        definitions.add(name)
        for other in (*NAMED.findall(written[name]), *CALLED.findall(written[name])):
            finding = other.removeprefix("is ") if other.startswith("is ") else ""
            if finding in REGISTRY.rules:
                findings.add(finding)
                waiting.append(COMPUTED + finding)
            elif other in written:
                waiting.append(other)
    return definitions, sorted(findings)


def limits(pathway: Pathway) -> Iterator[tuple[str, str]]:
    """Each threshold as a number, and those of time as the day since when something counts."""
    for threshold in pathway.thresholds.values():
        whole = threshold.unit in ("days", "months", "years")
        number = str(threshold.value) if whole or "." in str(threshold.value) else f"{threshold.value}.0"
        yield f"limit {threshold.id}", define(f"limit {threshold.id}", number)
        if threshold.unit in ("days", "months"):
            length = f"{threshold.value} {threshold.unit}"
            yield f"since {threshold.id}", define(f"since {threshold.id}", f'"Today" - {length}')
            yield f"days {threshold.id}", define(f"days {threshold.id}", length)


def by_declaration(rule: Rule, pathway: Pathway) -> str:
    """The CQL of a rule whose declaration says all; "" for others."""
    parts = [ref(f"is {name}") for name in rule.follows_from]
    if rule.form == "any of":
        return any_of(parts)
    if rule.form == "all of":
        return all_of(parts)
    if rule.form in ("below", "above"):
        (analyte,), limit = rule.analytes, rule.limits[0]
        surely = "SurelyBelow" if rule.form == "below" else "SurelyAbove"
        newest = f'"{analyte} newest"'
        compared = f'{surely}({newest}.base, {newest}.comparator, "limit {limit}")'
        return f'if not "{analyte} is read" then null else {newest} is not null and {compared}'
    if len(rule.problems) == 2 and rule.problems[1] == "lifelong" and not (parts or rule.limits or rule.reads):
        listed = f'P.concept in "group {rule.problems[0]}" and (P.isActive or P.concept in "group lifelong")'
        return f'if "Problems are read" then exists ("Problems" P where {listed}) else null'
    return NO_B12 if rule.name in UNTREATED else ""


# --- Beside findings


def beside_findings(pathway: Pathway, known: set[str]) -> Iterator[tuple[str, str]]:
    """What can be told of orders, of results at hand and of what is to be repeated: where no order is recorded, no
    marker was measured, and no B12 is given."""
    computed: dict[str, str] = {}
    for name in marker_findings(pathway):
        computed[rests_on_stale(name)] = 'if "No marker is recorded" then false else null'
    for analyte, orderable in MEASURES.items():
        driving = f'Coalesce("B12 driver".analyte, {text("")}) = {text(analyte)}' if analyte in B12 else "false"
        computed[repeat_means(orderable)] = f'if "No marker is recorded" and "B12 is known" then {driving} else null'
    for each in pathway.follow_ups.values():
        computed[is_planned(each.id)] = 'if "No order is recorded" then false else null'
    for name, test in pathway.orderables.items():
        measured = all_of(measured_within(each, test.current_days, known) for each in test.measures)
        found = measured if test.measures else "false"
        computed[at_hand(name)] = f'if "No order is recorded" then {found} else null'
    yield from ((COMPUTED + name, define(COMPUTED + name, body)) for name, body in computed.items())


def measured_within(analyte: str, days: int, known: set[str]) -> str:
    """Is there a result of the test that is young enough? Of a test that is not read: no, where there is none."""
    within = f'exists ("{analyte} results" R where Within(R.taken, "Today" - {days} days))'
    if analyte in MEASURED:
        return f'(if "{analyte} is read" then {within} else null)'
    if analyte in B12:
        return f'(if "B12 is known" then {within} else null)'
    if f"lab-{analyte}" not in known:
        return "null"
    return f'(if "Problems are read" and not exists [Observation: "lab-{analyte}"] then false else null)'


# --- Laboratory results


def laboratory(pathway: Pathway, known: set[str]) -> Iterator[tuple[str, str]]:
    """For each test its results, what is plausible, and the newest that counts."""
    for name in (*MEASURED, *B12):
        analyte = pathway.analytes[name]
        yield f"{name} results", define(f"{name} results", results(analyte))
        parameters = "(value System.Decimal, family System.String)"
        yield f"{name} is plausible", f'define function "{name} is plausible"{parameters}:\n  {plausible(analyte)}\n'
        if analyte.mass_per_molar is not None:
            yield f"mass per molar {name}", define(f"mass per molar {name}", str(analyte.mass_per_molar))
        if name in MEASURED:
            yield from newest(analyte)
    sets = sorted(name for name in known if name.startswith(("lab-", "other-")))
    ids = "\n    union ".join(f'([Observation: "{name}"] O return O.id.value)' for name in sets)
    yield "Result ids", define("Result ids", ids)


def results(analyte: Analyte) -> str:
    """Each result of the test in the base unit of its family, by the closed table of its units."""
    families: dict[str, list[str]] = {}
    factors: dict[str, list[str]] = {}
    for spelling, unit in analyte.units.items():
        families.setdefault(text(unit.family), []).append(spelling)
        factors.setdefault(decimal(str(unit.factor)), []).append(spelling)
    lets = [
        f"{name}: {by_spelling(f'R.{spelled}', table)}"
        for name, spelled, table in (
            ("family", "unit", families),
            ("factor", "unit", factors),
            ("codedFamily", "coded", families),
            ("codedFactor", "coded", factors),
        )
    ]
    same = "family is not null and family = codedFamily and factor = codedFactor"
    kept = "id: R.id, taken: R.taken, comparator: R.comparator, ranges: R.ranges, isRangePlain: R.isRangePlain"
    made = "base: Round(R.value * factor, 8), high: Round(R.high * factor, 8)"
    lines = [
        f'(ResultsOf([Observation: "lab-{analyte.id}"])) R',
        "let " + ",\n      ".join(lets),
        f"return Tuple {{ {kept}, family: family, {made}, isPlain: R.isPlain and {same} }}",
    ]
    return "\n    ".join(lines)


def by_spelling(value: str, table: dict[str, list[str]]) -> str:
    """What a unit stands for, by how it is spelled; null for any other."""
    return cases(((in_list(value, spellings), found) for found, spellings in table.items()), "null")


def decimal(number: str) -> str:
    return number if "." in number else f"{number}.0"


def plausible(analyte: Analyte) -> str:
    """Within the range that is stated for the family; where none is stated for it, not computed."""
    if not analyte.plausible:
        return "true"
    terms = []
    for each in analyte.plausible:
        inside = [f"family = {text(each.family)}"]
        inside += [f"value >= {decimal(str(each.low))}"] if each.low is not None else []
        inside += [f"value <= {decimal(str(each.high))}"] if each.high is not None else []
        terms.append(all_of(inside))
    return any_of(terms)


def newest(analyte: Analyte) -> Iterator[tuple[str, str]]:
    """The newest result within its time; of one day the worse. Computed where all results of the test are plain."""
    name, since = analyte.id, f'"since {analyte.current}"'
    molar = f"R.base * {analyte.mass_per_molar}" if analyte.mass_per_molar is not None else "R.base"
    in_mass = f"if R.family = 'molar' then Round({molar}, 8) else R.base" if molar != "R.base" else molar
    base = in_mass if name == "haemoglobin" else "R.base"
    fine = f'"{name} is plausible"(R.base, R.family)'
    ranged = " or not R.isRangePlain" if name in ("mma", "homocysteine") else ""
    read = f'not exists ("{name} results" R where not R.isPlain or not {fine}{ranged})'
    yield f"{name} is read", define(f"{name} is read", read)
    current = f'"{name} results" R where Within(R.taken, {since})'
    yield f"{name} day", define(f"{name} day", f"Max(({current}) R return R.taken)")
    worst = "Max" if name in HIGHER_IS_WORSE else "Min"
    returned = "id: R.id, taken: R.taken, family: R.family, base: {}, comparator: R.comparator, high: R.high, worst: {}"
    yield (
        f"{name} of the day",
        define(
            f"{name} of the day",
            f'"{name} results" R where R.taken = "{name} day"\n    return Tuple {{ {returned.format(base, in_mass)} }}',
        ),
    )
    found = f'R where R.worst = {worst}("{name} of the day" D return D.worst)'
    yield f"{name} newest", define(f"{name} newest", f'First("{name} of the day" {found}\n    sort by id desc)')


# --- Problems and medicines


def lists(pathway: Pathway, known: set[str]) -> Iterator[tuple[str, str]]:
    """Every problem that a code recognises, every medicine of the groups, and who belongs to which group."""
    concepts = sorted(name for name in known if name.startswith("problem-"))
    each = [
        f'ProblemsOf({text(name.removeprefix("problem-"))}, [Condition: "{name}"], [Procedure: "{name}"])'
        for name in concepts
    ]
    yield "Problems", define("Problems", "flatten {\n    " + ",\n    ".join(each) + "\n  }")
    for group, members in pathway.groups.items():
        rows = ", ".join(text(member) for member in sorted(members))
        yield f"group {group}", define(f"group {group}", f"List<System.String>{{ {rows} }}")
    uses = [
        f'UsesOf({text(member)}, [MedicationRequest: "{name}"], [MedicationStatement: "{name}"])'
        for member in sorted({member for group in LISTS for member in pathway.groups.get(group, ())})
        if (name := f"medicine-{member}") in known
    ]
    yield "Uses", define("Uses", "flatten {\n    " + ",\n    ".join(uses) + "\n  }")
    yield "Medicine ids", define("Medicine ids", ids_in(EVERY_MEDICINE, RESOURCES))
    yield "Cobalamin ids", define("Cobalamin ids", ids_in(group_set("cobalamin"), RESOURCES))
    for group in LISTS:
        yield f"Supplies of {group}", define(f"Supplies of {group}", ids_in(group_set(group), RESOURCES[2:]))


def ids_in(value_set: str, resources: Iterable[str]) -> str:
    """The references of all resources of these types whose medicine is in the value set."""
    return "\n    union ".join(
        f'([{kind}: "{value_set}"] M return {text(kind + "/")} + M.id.value)' for kind in resources
    )
