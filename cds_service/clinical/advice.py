"""What a matched row says of this patient: its wording with the record's values, its notes, and the drafts it may make.

What may be drafted is settled here, because it is medicine: no test whose result is there or that is already ordered,
no medicine that a safety row forbids (6.3 "Drafts").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from .case import B12_ANALYTES, MARKERS, Case
from .findings import Finding
from .laboratory import why_not
from .monitoring import deficient_on_treatment
from .record import LabResult
from .tables import Choice, FixedCard, FollowUp, Orderable, Pathway, Provenance, Regimen, Row
from .wording import Values, sentence

FOLLOW_UP = "follow-up"  # the kind of a draft of several later orders, whose id names them all
PROBLEM = "problem"  # the kind of a draft of an entry of the problem list
DEFICIENCY = "b12-deficiency"
FOLLOWED = ("course", "treat", "safety")
REMOVAL = "removal"  # the kind of a draft that takes the clinician's own order away and puts nothing in its place
INJECTION = "b12-injection"  # drafted for the day on which the next one is due
TOTAL_B12 = "b12-total"
TREATING = ("now", "consider")
NO_MEDICINE = ("no_medicine_draft", "cobalamin_hypersensitivity")
UNSHOWN = "unshown_in_pregnancy"  # megaloblastic anaemia in pregnancy: neither drafted nor announced
# The cards that stand in place of an interpretation that has none, by the finding that asks for each.
IN_PLACE = {"record_incomplete": "incomplete", "marker_unjudged": "unjudged"}
MEASURES = {"b12": "b12-total", "active-b12": "b12-active", "mma": "mma", "homocysteine": "homocysteine"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A suggested order: kind "test" with the id of an orderable, "medicine" with the id of a regimen, or "follow-up"
    with the ids of several later orders, which one suggestion makes together, or "removal" with the name of what goes.

    `replaces` is the reference of the clinician's own draft in whose place it goes.
    """

    kind: str
    id: str
    replaces: str = ""
    due: date | None = field(default=None, compare=False)  # the day for which it is drafted, where that is not today
    recommended: bool = field(default=False, compare=False)  # the content says so; being first does not


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A part of what a row says: "act", "context" ... (tables.PARTS). `is_regimen`: it prints or announces one.
    `origin`: the row ("treat/neuro") or note ("notes/treat-now") in whose `detail` it stands."""

    part: str
    text: str
    is_regimen: bool = False
    origin: str = field(default="", compare=False)

    @property
    def note(self) -> str:
        """The note in which it stands; "" for a row's own."""
        return self.origin if self.origin.startswith("notes/") else ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What one row says to the clinician, before it is laid out as a card. `row` is "interpret/deficient"; `ordered`
    are tests that it would suggest, were they not ordered already."""

    row: str
    indicator: str
    summary: str
    paragraphs: tuple[Paragraph, ...]
    topic: str
    provenance: Provenance
    drafts: tuple[Draft, ...] = ()
    ordered: tuple[Draft, ...] = ()
    joined: tuple[str, ...] = ()  # the rows that share its card
    left_out: tuple[Paragraph, ...] = ()  # what holds as well, and stands in the evidence only: the card has no room

    @property
    def detail(self) -> str:
        """The text of the card."""
        return "\n\n".join(each.text for each in self.paragraphs)


ABOUT_ACCESS = frozenset(  # whether something could be read: it may differ from one call to the next
    "record_incomplete medicines_unknown allergies_unknown b12_incomplete no_medicine_draft".split()
)


def said_of_access(advice: Iterable[Advice], pathway: Pathway) -> str:
    """What the cards say of what could not be read or judged. A part of the record may be named for other reasons."""
    about = ABOUT_ACCESS | {"results_unjudged"}
    notes = {row_name(note) for note in pathway.notes if not about.isdisjoint(note.when)}
    paragraphs = [part for each in advice for part in each.paragraphs]
    return "\n".join(each.text for each in paragraphs if each.origin in notes or each.origin.startswith("fixed/"))


def matches(row: Row | Choice | FollowUp, found: Collection[str]) -> bool:
    """Do all conditions of the row hold?"""
    for name in row.when:
        if name not in found:
            return False
    for name in row.unless:
        if name in found:
            return False
    return not row.any or any(name in found for name in row.any)


def holding(row: Row, found: Collection[str]) -> list[str]:
    """The findings by which a row that holds does so."""
    return [*row.when, *(name for name in row.any if name in found)]


def first_match(table: tuple[Row, ...], found: Collection[str]) -> Row:
    """The first row that holds; the loader has made sure that the last one always does."""
    return next(row for row in table if matches(row, found))


def row_name(row: Row) -> str:
    """ "interpret/deficient"; a safety row of the orders table is a safety row."""
    return f"safety/{row.id}" if row.table == "orders" and row.id.startswith("S") else f"{row.table}/{row.id}"


def treats(row: Row, found: Collection[str]) -> str:
    """now, consider, after or none: the first of `treat_when` that holds, else the row's own."""
    return next((treat for treat, names in row.treat_when if any(name in found for name in names)), row.treat)


def belongs(note: Row, row: Row) -> bool:
    """Is this note added to the card of that row?"""
    return row.table in note.on or row_name(row) in note.on


def without_regimens(detail: str) -> str:
    """The text of a row that has no regimen for this patient: without the line that would announce one, too."""
    kept: list[str] = []
    for paragraph in detail.strip().split("\n\n"):
        if paragraph.strip() != "{regimens}":
            kept.append(paragraph)
        elif kept and kept[-1].rstrip().rstrip("*").endswith(":"):
            kept.pop()
    return "\n\n".join(kept)


def listed_regimens(regimens: Iterable[Regimen], pathway: Pathway) -> str:
    """Regimens in words, one item each; one or another of them is given, never all."""
    first, *others = [each.words.strip() for each in regimens] or [""]
    items = [first, *(f"{pathway.messages['or']} {each}" for each in others)]
    return "\n".join(f"- {each}" for each in items) if first else ""


class Writer:
    """Turns matched rows into advice: wording with the record's values, notes, and the drafts that are allowed."""

    def __init__(self, case: Case, pathway: Pathway, found: dict[str, Finding], values: Values):
        self.case, self.pathway, self.found, self.values = case, pathway, found, values

    @cached_property
    def notes(self) -> list[Row]:
        """The notes that hold; most patients have no card that one could be added to."""
        return [note for note in self.pathway.notes if matches(note, self.found)]

    @cached_property
    def treatment(self) -> Row:
        """The row of the treatment table; without regimens where none fits this patient."""
        return first_match(self.pathway.treat, self.found)

    def advice(self, row: Row, indicator: str) -> Advice:
        """The advice of one row."""
        suitable = self.suitable(row)
        regimens = listed_regimens(suitable, self.pathway)
        today = self.pathway.messages[f"today.{self.urgency()}"]
        values = self.values.also(regimens=regimens, today=today)
        name = row_name(row)
        detail = row.detail if regimens else without_regimens(row.detail)
        paragraphs = self.paragraphs(detail, values, origin=name)
        for note in self.notes:
            if row.table in note.on or name in note.on:
                paragraphs += self.paragraphs(note.detail, values, row_name(note), note.part)
        summary = sentence(row.summary.format_map(values))
        tests = self.tests(row)
        needless = [test for test in tests if self.superfluous(self.pathway.orderables[test.id])]
        drafts = (*(test for test in tests if test not in needless), *self.medicines(row, suitable))
        ordered = tuple(test for test in needless if self.is_ordered(test.id))
        return Advice(name, indicator, summary, tuple(paragraphs), row.topic, row.provenance, drafts, ordered)

    def urgency(self) -> str:
        """What a critical title asks for, by a key of [today]: B12 is not begun where none is drafted."""
        if not self.treatment.regimens:
            return "allergy"
        return "pregnant" if UNSHOWN in self.found else "start"

    def paragraphs(self, text: str, values: Values, origin: str, part: str = "") -> list[Paragraph]:
        """A text in its parts: the given one, or what the words say with which each paragraph begins."""
        found: list[Paragraph] = []
        for template in (each.strip() for each in text.split("\n\n") if each.strip()):
            is_regimen = "{regimens}" in template
            if is_regimen and found and found[-1].text.rstrip("*").endswith(":"):
                found[-1] = Paragraph("act", found[-1].text, is_regimen=True, origin=origin)
            said = template.format_map(values)
            found.append(Paragraph(part or ("act" if is_regimen else self.part_of(said)), said, is_regimen, origin))
        return found

    def part_of(self, paragraph: str) -> str:
        """Which part of a card a paragraph is, by the words with which it begins."""
        plain = paragraph.removeprefix("**")
        return next((part for part, leads in self.pathway.leads if plain.startswith(leads)), "next")

    def interpretation(self, row: Row, indicator: str) -> list[Advice]:
        """The likelihood card; where the row has none, the card that says what could not be read or judged."""
        if indicator != "none":
            return [self.advice(row, indicator)]
        return [self.fixed(self.pathway.fixed[name]) for finding, name in IN_PLACE.items() if finding in self.found]

    def fixed(self, card: FixedCard) -> Advice:
        """A card that no row makes."""
        name = f"fixed/{card.id}"
        said = (Paragraph("caveat", card.detail.strip().format_map(self.values), origin=name),)
        summary = sentence(card.summary.format_map(self.values))
        return Advice(name, card.indicator, summary, said, card.topic, card.provenance)

    def tests(self, row: Row) -> list[Draft]:
        """The tests that the row wants: of a stale row the repeat, else the row's own."""
        named_tests = [choice.id for choice in row.tests if matches(choice, self.found)]
        if row.table == "interpret" and "repeat_first" in self.found:
            named_tests = ["repeat", *(named_tests if "b12_not_known" in self.found else ())]
        elif row.table == "interpret" and "stale_exempt" in self.found:
            named_tests = ["repeat", *named_tests]
        wanted = dict.fromkeys(each for name in named_tests for each in self.resolved(name))
        alone = TOTAL_B12 in wanted and row.table != "safety"  # the safety rows name what goes with it
        if alone and "nitrous_oxide" in self.found and not self.marker_at_hand(wanted):
            wanted["homocysteine"] = None  # with nitrous oxide total B12 alone misleads (6.5, O4)
        due = self.case.course.due
        days = {INJECTION: max(due, self.case.today)} if due else {}
        return [Draft("test", each, due=days.get(each), recommended=each in row.recommended) for each in wanted]

    def marker_at_hand(self, wanted: Iterable[str]) -> bool:
        """Is MMA or homocysteine wanted anyway, asked for, or measured not long ago?"""
        return any(name in wanted or self.superfluous(self.pathway.orderables[name]) for name in MARKERS)

    def resolved(self, name: str) -> list[str]:
        """The orderable behind a name: `repeat` and `first-test` depend on the patient."""
        if name == "first-test":
            if "nitrous_oxide" in self.found:
                return ["homocysteine"]
            return ["b12-active" if "pregnant" in self.found else "b12-total"]
        if name != "repeat":
            return [name] if name != INJECTION or self.may_inject() else []
        case = self.case
        labs: list[LabResult | None] = [case.b12 or case.doubtful_b12]
        if "deficient_on_injections" in self.found:
            labs = [deficient_on_treatment(case)]
        if "repeat_first" in self.found:
            stale = self.found["repeat_first"].because
            labs = [lab for lab in (case.b12, case.mma, case.homocysteine) if lab and case.because(lab)[0] in stale]
        return [MEASURES[lab.analyte] for lab in labs if lab]

    def may_inject(self) -> bool:
        """Not where an allergy forbids every regimen; not into a muscle with very low platelets."""
        return bool(self.treatment.regimens) and "platelets_below_im" not in self.found

    def superfluous(self, orderable: Orderable) -> bool:
        """Is there an open order or a draft of it, or a result of everything it measures within its age?"""
        if self.is_ordered(orderable.id):
            return True
        if not orderable.measures:
            return False
        return all(self.measured(analyte, orderable.current_days) for analyte in orderable.measures)

    def is_ordered(self, orderable: str) -> bool:
        """Is there an open order of this test, or a draft in the call? Of an injection, for the one that is due."""
        record = self.case.record
        drafted = {each.orderable for each in record.selected + record.beside}
        if orderable == INJECTION:
            return orderable in drafted or "injection_asked_for" in self.found
        return orderable in drafted or any(each.orderable == orderable for each in record.orders)

    def measured(self, analyte: str, days: int) -> bool:
        """Is there a result that is young enough and that could be judged?"""
        case = self.case
        if analyte == "intrinsic-factor-antibody" and "ifab_positive" in self.found:
            return True
        if analyte in B12_ANALYTES and ("b12_masked" in self.found or case.doubtful_b12):
            return False
        results = case.labs.get(analyte)
        if results is None:
            return False
        young = [n for n, day in enumerate(results.days()) if day is not None and 0 <= (case.today - day).days <= days]
        return any(not why_not(case, results[place]) for place in young)

    def suitable(self, row: Row) -> list[Regimen]:
        """The row's regimens for this patient: none where the treat table has none or B12 must first be shown in
        pregnancy, no cyanocobalamin with Leber's."""
        choices = [choice for choice in row.regimens if matches(choice, self.found)]
        if self.from_table(row):
            choices += [choice for choice in self.treatment.regimens if matches(choice, self.found)]
        if not self.treatment.regimens or UNSHOWN in self.found:
            return []
        regimens = [self.by_route(each) for each in dict.fromkeys(choice.id for choice in choices)]
        cyano = self.pathway.groups.get("cyanocobalamin", frozenset()) if "leber" in self.found else frozenset()
        return [each for each in regimens if each.ingredient not in cyano]

    def by_route(self, name: str) -> Regimen:
        """The regimen; where a muscle may bleed, the one under the skin that the pathway has in its place."""
        regimen = self.pathway.regimens[name]
        deep = regimen.under_skin if "muscle_bleeds" in self.found else ""
        return self.pathway.regimens[deep] if deep else regimen

    def from_table(self, row: Row) -> bool:
        """Does a row of another table take its regimen from the treatment table?"""
        return row.table in ("course", "safety", "orders") and treats(row, self.found) in TREATING

    def medicines(self, row: Row, suitable: Iterable[Regimen]) -> list[Draft]:
        """The regimens to draft."""
        drafts = [
            Draft("medicine", each.id, recommended=each.id in row.recommended)
            for each in suitable
            if self.may_draft(each)
        ]
        later = " ".join(self.follow_ups()) if drafts and row.table in FOLLOWED else ""
        return [*drafts, Draft(FOLLOW_UP, later)] if later else drafts

    def follow_ups(self) -> list[str]:
        """What is to be done after a regimen has begun, and is not ordered yet for about that day."""
        due = [each for each in self.pathway.follow_ups.values() if matches(each, self.found)]
        return [each.id for each in due if not self.is_planned(each)]

    def is_planned(self, follow_up: FollowUp) -> bool:
        """Is its test ordered for about the day of the follow-up? An order that names no day is for the day it was
        written on."""
        case, day = self.case, follow_up.day(self.case.today)
        asked = [each.planned or each.written for each in case.record.orders if each.orderable == follow_up.orderable]
        near = case.limits.days("order-near")
        return any(planned is not None and abs((planned - day).days) <= near for planned in asked)

    def may_draft(self, regimen: Regimen) -> bool:
        """Not with medicines unknown or an allergy; no intramuscular injection with very low platelets."""
        if any(name in self.found for name in NO_MEDICINE):
            return False
        return "platelets_below_im" not in self.found or all(phase.route != "im" for phase in regimen.phases)
