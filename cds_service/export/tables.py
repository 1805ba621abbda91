"""The decision tables of a pathway as CQL: what `clinical.decide` does with findings, said in another language.

Every finding is a definition "is NAME". A row is a definition "row TABLE/ID"; the first that holds is "Interpret row",
"Course row" and "Treat row", of the safety rows all count. Nothing is decided before every finding is known: "Judged"
is false then, "Not given" names what is missing, and every answer is null.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from ..clinical.advice import IN_PLACE, INJECTION, MEASURES, NO_MEDICINE, TOTAL_B12, TREATING, UNSHOWN, row_name
from ..clinical.case import MARKERS
from ..clinical.decide import ACT_FIRST, ON_TREATMENT, REGIMEN_FIRST, SEVERITY
from ..clinical.findings import REGISTRY
from ..clinical.tables import Choice, FollowUp, Pathway, Regimen, Row

EXPORTED = ("safety", "course", "interpret", "treat")
FIRST_MATCH = {"course": "Course row", "interpret": "Interpret row", "treat": "Treat row"}
DECIDED = ("repeat_first", "stale_without_gait", "act_before_results")  # by the tables themselves
ORDERS, NOTES = "Orders", "Notes"
ALWAYS = (  # what the tables read beside the names in their rows
    "out_of_scope", "b12_stale", "stale_exempt", "gait", "b12_not_known", "nitrous_oxide", "pregnant", "leber",
    "muscle_bleeds", "platelets_below_im", "coded", UNSHOWN, *NO_MEDICINE,
)  # fmt: skip
FALSE, TRUE = "false", "true"
PRIORITY = {"critical": "stat", "warning": "urgent", "info": "routine"}  # an indicator as a priority of FHIR


def text(value: str) -> str:
    """A CQL string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def define(name: str, body: str) -> str:
    return f'define "{name}":\n  {body}\n'


def ref(name: str) -> str:
    """A reference to a definition or parameter."""
    return f'"{name}"'


def found(name: str, unknown: Collection[str] = ()) -> str:
    """The finding; false where the decision has not made it yet."""
    return FALSE if name in unknown else ref(f"is {name}")


def any_of(terms: Iterable[str]) -> str:
    """At least one holds."""
    kept = [each for each in dict.fromkeys(terms) if each != FALSE]
    if TRUE in kept:
        return TRUE
    return f"({' or '.join(kept)})" if len(kept) > 1 else kept[0] if kept else FALSE


def all_of(terms: Iterable[str]) -> str:
    """All hold."""
    kept = [each for each in dict.fromkeys(terms) if each != TRUE]
    if FALSE in kept:
        return FALSE
    return f"({' and '.join(kept)})" if len(kept) > 1 else kept[0] if kept else TRUE


def negated(term: str) -> str:
    return {TRUE: FALSE, FALSE: TRUE}.get(term, f"not {term}")


def condition(row: Row | Choice | FollowUp, unknown: Collection[str] = ()) -> str:
    """What `advice.matches` says of a row or a choice."""
    terms = [found(name, unknown) for name in row.when]
    if row.any:
        terms.append(any_of(found(name, unknown) for name in row.any))
    return all_of([*terms, *(negated(found(name, unknown)) for name in row.unless)])


def cases(pairs: Iterable[tuple[str, str]], otherwise: str) -> str:
    """The value of the first condition that holds."""
    lines = []
    for when, then in pairs:
        if when == TRUE:
            otherwise = then
            break
        if when != FALSE:
            lines.append(f"    when {when} then {then}")
    return "\n".join(["case", *lines, f"    else {otherwise}", "  end"]) if lines else otherwise


def only_judged(value: str, judged: str = "Judged") -> str:
    return f"if not {ref(judged)} then null else {value}"


def rows_of(pathway: Pathway) -> dict[str, Row]:
    """Every row about an open chart, by its name ("interpret/deficient")."""
    tables = (pathway.safety, pathway.course, pathway.interpret, pathway.treat)
    return {row_name(row): row for table in tables for row in table}


def findings_in(row: Row) -> set[str]:
    """Every finding that a row speaks of."""
    names = {*row.no_card, *([row.removes] if row.removes else [])}
    conditional: tuple[Row | Choice, ...] = (row, *row.tests, *row.regimens)
    for each in conditional:
        names |= conditions_of(each)
    for _, several in (*row.treat_when, *row.raised):
        names |= set(several)
    return names


def conditions_of(each: Row | Choice | FollowUp) -> set[str]:
    return {*each.when, *each.any, *each.unless}


class Part(NamedTuple):
    """A part of the Library that is judged by itself: whoever wants the others need not give its findings."""

    title: str  # as its answers begin: "Orders judged"; "" for the chart
    needs: frozenset[str]  # the findings that it reads


def parts_of(pathway: Pathway) -> tuple[Part, ...]:
    """The chart, the orders and the notes, with what each reads beside the chart. What tables make is in none."""
    chart = {name for row in rows_of(pathway).values() for name in findings_in(row)} | {*ALWAYS, *IN_PLACE}
    chart |= {name for each in pathway.follow_ups.values() for name in conditions_of(each)}
    orders = {name for row in pathway.orders for name in findings_in(row)} | {"cobalamin_ordered"}
    notes = {name for note in pathway.notes for name in conditions_of(note)}
    needs = (("", chart), (ORDERS, orders), (NOTES, notes))
    return tuple(Part(title, frozenset(names - {*DECIDED})) for title, names in needs)


def marker_findings(pathway: Pathway) -> list[str]:
    """Findings that choose a row of the interpretation and may rest on an MMA or homocysteine result: where that is
    stale it is repeated first."""
    names = {name for row in pathway.interpret for name in (*row.when, *row.any)}
    return sorted(name for name in names if name in REGISTRY.rules and follows_from(name, "markers"))


@cache
def follows_from(name: str, step: str) -> bool:
    return name == step or any(follows_from(each, step) for each in REGISTRY.rules[name].follows_from)


def rests_on_stale(name: str) -> str:
    """The name of the parameter that says so of a finding."""
    return f"{name} rests on a stale marker"


def at_hand(orderable: str) -> str:
    """The name of the parameter that says that a test is ordered already, or its result there."""
    return f"{orderable} is at hand"


def is_planned(follow_up: str) -> str:
    """The name of the parameter that says that a follow-up is ordered already for about its day."""
    return f"{follow_up} is planned"


ALLERGIES_UNREAD = "allergies are unread"


def repeat_means(orderable: str) -> str:
    """The name of the parameter that says which test measures once more what is to be repeated."""
    return f"a repeat means {orderable}"


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter that no definition computes, and what it says."""

    name: str
    words: str


def given_beside_findings(pathway: Pathway) -> list[Given]:
    """What must be given beside findings: results at hand, what a repeat measures, and which findings rest on a marker
    that is stale; which follow-up is planned; and whether allergies could be read."""
    titles = {name: each.title for name, each in pathway.orderables.items()}
    at = [Given(at_hand(name), f"{title} is ordered, or a recent result is there") for name, title in titles.items()]
    repeats = [Given(repeat_means(each), f"what is to be repeated is {titles[each]}") for each in repeats_of(pathway)]
    stale = [
        Given(rests_on_stale(name), f"{name} rests on an MMA or homocysteine result that is too old to act on")
        for name in marker_findings(pathway)
    ]
    planned = [
        Given(is_planned(each.id), f"an order is there already for about the day of: {each.title}")
        for each in pathway.follow_ups.values()
    ]
    unread = Given(ALLERGIES_UNREAD, "the allergies, or some of them, could not be read")
    return [*at, *repeats, *stale, *planned, unread]


def repeats_of(pathway: Pathway) -> list[str]:
    return [each for each in MEASURES.values() if each in pathway.orderables]


class Tables:
    """Writes the definitions of one pathway's tables about an open chart."""

    prefix = ""  # with which the names of the answers begin
    judged = "Judged"  # the definition that says whether every finding is known
    unknown: tuple[str, ...] = ()  # findings that the decision never makes here

    def __init__(self, pathway: Pathway):
        self.pathway = pathway
        self.rows = self.rows_by_name()

    def rows_by_name(self) -> dict[str, Row]:
        return rows_of(self.pathway)

    def definition_name(self, answer: str) -> str:
        """An answer or other definition of this part: "Rows", "Order rows"."""
        return f"{self.prefix} {answer[0].lower()}{answer[1:]}" if self.prefix else answer

    def in_scope(self) -> list[str]:
        """What is asked of everything that speaks."""
        return [ref(self.judged), negated(found("out_of_scope"))]

    def definitions(self) -> Iterator[str]:
        """All of them, each after what it reads."""
        yield from self.chosen("interpret", DECIDED)
        yield define("Label", cases_by_row(self.pathway.interpret, "Interpret row", lambda row: text(row.label)))
        yield from self.decided()
        yield from self.chosen("course", DECIDED)
        yield from self.safety()
        yield from self.chosen("treat", ())
        yield from self.treatment()
        for name, row in self.rows.items():
            yield from self.consequences(name, row)
        yield from self.regimen_row()
        yield from self.summaries()

    def chosen(self, table: str, unknown: Collection[str]) -> Iterator[str]:
        """The rows of a table whose first row that holds is taken."""
        rows: tuple[Row, ...] = getattr(self.pathway, table)
        for row in rows:
            yield define(f"row {row_name(row)}", condition(row, unknown))
        first = cases(((ref(f"row {row_name(row)}"), text(row.id)) for row in rows), "null")
        yield define(FIRST_MATCH[table], only_judged(first))

    def decided(self) -> Iterator[str]:
        """What the decision finds by the row of the interpretation: `decide.note_staleness`."""
        able = set(marker_findings(self.pathway))
        by_marker = []
        for row in self.pathway.interpret:
            held = [name for name in (*row.when, *row.any) if name in able]
            terms = [all_of([found(name), found(rests_on_stale(name))]) for name in held]
            if terms:
                by_marker.append(all_of([f'"Interpret row" = {text(row.id)}', any_of(terms)]))
        by_b12 = all_of([found("b12_stale"), f'"Label" != {text(ON_TREATMENT)}'])
        yield define("is repeat_first", all_of([negated(found("stale_exempt")), any_of([by_b12, *by_marker])]))
        yield define("is stale_without_gait", all_of([found("repeat_first"), negated(found("gait"))]))

    def safety(self) -> Iterator[str]:
        """Every row of it that holds counts; what acts before any result is there is found by two of them."""
        rows = self.pathway.safety
        for row in rows:
            held = condition(row, ("act_before_results",))
            yield define(f"row {row_name(row)}", all_of([*self.in_scope(), held]))
        first = [ref(f"row {row_name(row)}") for row in rows if row.id in ACT_FIRST and not row.off]
        yield define("is act_before_results", any_of(first))

    def treatment(self) -> Iterator[str]:
        """How far the interpretation goes, and whether the treatment table is read."""
        by_row = cases_by_row(
            self.pathway.interpret, "Interpret row", lambda row: FALSE_TREAT if row.off else treats(row)
        )
        yield define("Treat", f"if {found('repeat_first')} then 'none' else {by_row}")
        asked = in_list('"Treat"', TREATING)
        wanting = [
            all_of([f'"Course row" = {text(row.id)}', in_list(f"({treats(row)})", TREATING)])
            for row in self.pathway.course
            if self.may_ask(row)
        ]
        yield define("Treat table is read", all_of([*self.in_scope(), any_of([asked, *wanting])]))
        yield define("Treatment is asked for", all_of([*self.in_scope(), asked]))
        no_regimen = [f'"Treat row" = {text(row.id)}' for row in self.pathway.treat if not row.regimens]
        yield define("No regimen fits", any_of(no_regimen))

    def may_ask(self, row: Row) -> bool:
        """May a row of another table take its regimen from the treatment table?"""
        return row.treat in TREATING or any(treat in TREATING for treat, _ in row.treat_when)

    def applies(self, name: str, row: Row) -> str:
        """Is this the row that holds, of its table?"""
        if row.table in ("safety", "orders"):
            return ref(f"row {name}")
        if row.table == "treat":
            return all_of([ref("Treat table is read"), f'"Treat row" = {text(row.id)}'])
        return f'("{FIRST_MATCH[row.table]}" = {text(row.id)})'

    def consequences(self, name: str, row: Row) -> Iterator[str]:
        """What follows where a row holds: its indicator, the tests it asks for, the regimens that suit."""
        yield define(f"{name} applies", self.applies(name, row))
        yield define(f"indicator of {name}", self.indicator(row))
        by_indicator = [(f'"indicator of {name}" = {text(said)}', text(code)) for said, code in PRIORITY.items()]
        yield define(f"priority of {name}", cases(by_indicator, "null"))
        in_scope = negated(found("out_of_scope"))
        speaks = [ref(f"{name} applies"), in_scope, f'"indicator of {name}" != {text("none")}']
        yield define(f"{name} speaks", all_of(speaks))
        if row.removes:
            yield define(f"{name} removes", all_of([ref(f"{name} speaks"), found(row.removes)]))
        wanted = self.wanted(row)
        for test, term in wanted.items():
            yield define(f"{name} wants {test}", term)
        for test in wanted:
            asks = [ref(f"{name} speaks"), ref(f"{name} wants {test}"), negated(found(at_hand(test)))]
            yield define(f"{name} asks for {test}", all_of(asks))
        drafted = self.drafted(row)
        for regimen, term in drafted.items():
            yield define(f"{name} suits {regimen}", all_of([ref(f"{name} speaks"), term]))
        if drafted:
            yield define(f"{name} has a regimen", any_of(ref(f"{name} suits {each}") for each in drafted))

    def indicator(self, row: Row) -> str:
        """`decide.level`: of the treatment table, by how far the interpretation goes."""
        if row.off:
            return text("none")
        if row.table == "treat":
            return "if not \"Treatment is asked for\" then 'none' else if \"Treat\" = 'now' then 'warning' else 'info'"
        raised = sorted(row.raised, key=lambda each: -SEVERITY[each[0]])
        pairs = [(self.any_found(row.no_card), text("none"))]
        pairs += [(self.any_found(n), text(i)) for i, n in raised if SEVERITY[i] > SEVERITY[row.indicator]]
        return cases(pairs, text(row.indicator))

    def any_found(self, names: Iterable[str]) -> str:
        return any_of(found(name, self.unknown) for name in names)

    def wanted(self, row: Row) -> dict[str, str]:
        """The tests that a row may want, each with its condition: `advice.Writer.tests`."""
        terms: dict[str, list[str]] = {}
        interprets = row.table == "interpret"
        own = any_of([negated(found("repeat_first")), found("b12_not_known")]) if interprets else TRUE
        for choice in row.tests:
            for test, term in self.resolved(choice.id):
                terms.setdefault(test, []).append(all_of([own, condition(choice, self.unknown), term]))
        if interprets:
            for test, term in self.resolved("repeat"):
                terms.setdefault(test, []).append(
                    all_of([any_of([found("repeat_first"), found("stale_exempt")]), term])
                )
        joined = {test: any_of(each) for test, each in terms.items()}
        return self.with_marker(joined) if row.table != "safety" and TOTAL_B12 in joined else joined

    def with_marker(self, wanted: dict[str, str]) -> dict[str, str]:
        """With nitrous oxide total B12 alone misleads: homocysteine with it, unless a marker is wanted or at hand."""
        others = [wanted.get(name, FALSE) for name in MARKERS]
        hand = [found(at_hand(name)) for name in MARKERS if name in self.pathway.orderables]
        added = all_of([wanted[TOTAL_B12], found("nitrous_oxide"), negated(any_of([*others, *hand]))])
        return wanted | {"homocysteine": any_of([wanted.get("homocysteine", FALSE), added])}

    def resolved(self, name: str) -> list[tuple[str, str]]:
        """The orderables behind a name, each with the condition under which it is meant."""
        if name == "repeat":
            return [(each, found(repeat_means(each))) for each in repeats_of(self.pathway)]
        if name == INJECTION:
            return [(name, negated(any_of([ref("No regimen fits"), found("platelets_below_im")])))]
        if name != "first-test":
            return [(name, TRUE)]
        gas, pregnant = found("nitrous_oxide"), found("pregnant")
        return [
            ("homocysteine", gas),
            ("b12-active", all_of([negated(gas), pregnant])),
            (TOTAL_B12, all_of([negated(gas), negated(pregnant)])),
        ]

    def drafted(self, row: Row) -> dict[str, str]:
        """The regimens that a row may draft, each with its condition: `advice.Writer.medicines`."""
        terms: dict[str, list[str]] = {}
        choices = [(choice, condition(choice, self.unknown)) for choice in row.regimens]
        if row.table in ("course", "safety", "orders") and self.may_ask(row):
            asks = in_list(f"({treats(row)})", TREATING)
            choices += [
                (choice, all_of([asks, f'"Treat row" = {text(each.id)}', condition(choice, self.unknown)]))
                for each in self.pathway.treat
                for choice in each.regimens
            ]
        for choice, term in choices:
            for regimen, route in self.by_route(choice.id):
                terms.setdefault(regimen.id, []).append(all_of([term, route]))
        return {name: all_of([any_of(each), self.may_draft(name)]) for name, each in terms.items()}

    def by_route(self, name: str) -> list[tuple[Regimen, str]]:
        """The regimen, and the one that takes its place where a muscle may bleed."""
        regimen = self.pathway.regimens[name]
        if not regimen.under_skin:
            return [(regimen, TRUE)]
        bleeds = found("muscle_bleeds")
        return [(regimen, negated(bleeds)), (self.pathway.regimens[regimen.under_skin], bleeds)]

    def may_draft(self, name: str) -> str:
        """No regimen where none fits, an allergy, cyanocobalamin with Leber's, or a muscle that bleeds forbids it."""
        regimen = self.pathway.regimens[name]
        forbidden = [ref("No regimen fits"), found(UNSHOWN), *map(found, NO_MEDICINE)]
        if regimen.ingredient in self.pathway.groups.get("cyanocobalamin", ()):
            forbidden.append(found("leber"))
        if any(phase.route == "im" for phase in regimen.phases):
            forbidden.append(found("platelets_below_im"))
        return negated(any_of(forbidden))

    def regimen_row(self) -> Iterator[str]:
        """The one row whose regimens are drafted: `decide.one_regimen`."""
        bearing = {name: row for name, row in self.rows.items() if self.drafted(row)}
        pairs = []
        for first in REGIMEN_FIRST:
            chosen = [name for name, row in bearing.items() if first in (row_name(row), row_name(row).split("/")[0])]
            pairs += [(ref(f"{name} has a regimen"), text(name)) for name in chosen]
        left = [name for name, row in bearing.items() if not {row_name(row), row_name(row).split("/")[0]} & RANKED]
        left.sort(key=lambda name: not row_name(bearing[name]).startswith("safety/"))
        for indicator in sorted(SEVERITY, key=lambda each: -SEVERITY[each])[:-1]:
            for name in left:
                this = all_of([ref(f"{name} has a regimen"), f'"indicator of {name}" = {text(indicator)}'])
                pairs.append((this, text(name)))
        row_that_drafts = self.definition_name("Regimen row")
        yield define(row_that_drafts, cases(pairs, "null"))
        for name, row in self.rows.items():
            for regimen in self.drafted(row):
                this = f"Coalesce({ref(row_that_drafts)}, {text('')}) = {text(name)}"
                yield define(f"{name} drafts {regimen}", all_of([this, ref(f"{name} suits {regimen}")]))

    def rows_that_hold(self) -> list[str]:
        """Each row's name where it holds, else null; in the order of `Decision.rows`."""
        safety = [
            f"if {ref(f'row {row_name(row)}')} then {text(row_name(row))} else null" for row in self.pathway.safety
        ]
        chosen = [f'{text(f"{table}/")} + "{FIRST_MATCH[table]}"' for table in ("course", "interpret")]
        treat = 'if "Treat table is read" then \'treat/\' + "Treat row" else null'
        return [*safety, *chosen, treat]

    def fixed(self) -> dict[str, str]:
        """The cards that no row makes, each with its condition: what could not be read or judged is said where the
        interpretation has no card."""
        spoken = [ref(f"{row_name(row)} speaks") for row in self.pathway.interpret]
        silent = all_of([*self.in_scope(), negated(any_of(spoken))])
        return {f"fixed/{card}": all_of([silent, found(name)]) for name, card in IN_PLACE.items()}

    def summaries(self) -> Iterator[str]:
        """The answer as a whole."""
        for name, term in self.fixed().items():
            yield define(f"{name} speaks{self.of_this()}", term)
        yield self.answer("Rows", f"({listed(self.rows_that_hold())}) X where X is not null")
        tests = [(name, test) for name, row in self.rows.items() for test in self.wanted(row)]
        yield self.answer("Tests", distinct((f"{name} asks for {test}", test) for name, test in tests))
        drafts = [(name, regimen) for name, row in self.rows.items() for regimen in self.drafted(row)]
        yield self.answer("Regimens", distinct((f"{name} drafts {each}", each) for name, each in drafts))
        speaking = [f"if {ref(f'{name} speaks')} then {indicated(name)} else null" for name in self.rows]
        for name in self.fixed():
            said = f"{name} {self.pathway.fixed[name.partition('/')[2]].indicator}"
            speaking.append(f"if {ref(f'{name} speaks{self.of_this()}')} then {text(said)} else null")
        yield self.answer("Indicators", f"({listed(speaking)}) X where X is not null")

    def of_this(self) -> str:
        """How the definitions end whose names the chart and the orders would share."""
        return f" ({self.prefix.lower()}s)" if self.prefix else ""

    def answer(self, name: str, value: str) -> str:
        return define(self.definition_name(name), only_judged(value, self.judged))


RANKED = {*REGIMEN_FIRST}
FALSE_TREAT = text("none")


def indicated(name: str) -> str:
    return f"{text(name + ' ')} + {ref(f'indicator of {name}')}"


def treats(row: Row) -> str:
    """`advice.treats`."""
    return cases(((any_of(map(found, names)), text(treat)) for treat, names in row.treat_when), text(row.treat))


def in_list(value: str, texts: Iterable[str]) -> str:
    return f"{value} in {{ {', '.join(map(text, texts))} }}"


def listed(items: Iterable[str]) -> str:
    return "List<System.String>{\n    " + ",\n    ".join(items) + "\n  }"


def distinct(pairs: Iterable[tuple[str, str]]) -> str:
    """The texts of those definitions that hold, each once."""
    items = [f"if {ref(name)} then {text(what)} else null" for name, what in pairs]
    return f"distinct (({listed(items)}) X where X is not null)"


def cases_by_row(rows: Iterable[Row], chosen: str, value: Callable[[Row], str]) -> str:
    """A value for each row of a table, by the one that was chosen."""
    return cases(((f'"{chosen}" = {text(row.id)}', value(row)) for row in rows), "null")
