"""The patient of a request for a reader: rows of a form that may be changed, and one line for each entry on paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from cds_service.clinical.case import quantity
from cds_service.clinical.record import LabResult, Medication, PartDate, PatientRecord, Problem
from cds_service.clinical.tables import Analyte, Pathway

from .charts import SOURCES
from .client import AnsweredCall
from .examples import Example, opened
from .frame import days_of_problem, written
from .request_json import Json, Tree

FIRST = ("b12", "active-b12", "mma", "homocysteine", "mcv", "haemoglobin")
MAIN = 4  # results of B12 and its markers that are shown at once
MANY = 4  # doses: more of them are one line
MOST = 40  # rows of one kind; a chart may hold thousands
UNDATED_KINDS = ("FamilyMemberHistory",)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the form. `name` begins its fields: "lab-0". What is not `editable` can still be left out."""

    name: str
    reference: str
    display: str
    value: str = ""
    unit: str = ""
    units: tuple[str, ...] = ()
    day: str = ""
    end: str = ""
    note: str = ""
    editable: bool = True
    main: bool = False  # shown at once
    has_end: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """The patient as the form shows them."""

    sex: str
    age: int | None
    labs: tuple[Row, ...]
    problems: tuple[Row, ...]
    medicines: tuple[Row, ...]
    orders: tuple[str, ...]  # the draft orders of an order hook, in our words


def rows_of(tree: Tree, record: PatientRecord, pathway: Pathway, today: date) -> Rows:
    """Every row, B12 first and the newest first."""
    born = record.patient.born
    age = None if born is None else today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return Rows(
        record.patient.sex,
        age,
        tuple(lab_rows(tree, record, pathway)),
        tuple(problem_rows(tree, record, pathway)),
        tuple(medicine_rows(tree, record, pathway)),
        tuple(pathway.displays.get(each.ingredient) or title(pathway, each.orderable) for each in record.selected),
    )


def title(pathway: Pathway, orderable: str) -> str:
    known = pathway.orderables.get(orderable)
    return known.title if known else orderable


def lab_rows(tree: Tree, record: PatientRecord, pathway: Pathway) -> Iterator[Row]:
    def place(lab: LabResult) -> tuple[int, int, str]:
        rank = FIRST.index(lab.analyte) if lab.analyte in FIRST else len(FIRST)
        return rank, -(lab.date or date.min).toordinal(), lab.reference

    times = Counter(each.reference for each in record.labs)
    for number, lab in enumerate(sorted(record.labs, key=place)[:MOST]):
        resource = tree.find(lab.reference)
        simple = resource is not None and times[lab.reference] == 1 and "component" not in resource
        unit = lab.unit or raw_unit(resource)
        units = spellings(pathway.analytes[lab.analyte], unit)
        value = f"{lab.comparator}{lab.number}" if lab.value is not None else lab.outcome
        yield Row(
            f"lab-{number}",
            lab.reference,
            pathway.displays[lab.analyte],
            value,
            unit,
            units,
            day=iso(lab.date),
            note="preliminary" if lab.preliminary else "",
            editable=simple and lab.value is not None,
            main=number < MAIN and lab.analyte in FIRST[:4],
        )


def raw_unit(resource: Json | None) -> str:
    """The unit as it was sent, where we do not know it."""
    quantity = (resource or {}).get("valueQuantity")
    unit = quantity.get("unit") if isinstance(quantity, dict) else ""
    return unit if isinstance(unit, str) else ""


def spellings(analyte: Analyte, present: str) -> tuple[str, ...]:
    """The units that one may choose, the present one among them."""
    return tuple(dict.fromkeys([present, *(unit.spelling for unit in analyte.units.values())]))


def problem_rows(tree: Tree, record: PatientRecord, pathway: Pathway) -> Iterator[Row]:
    """Problems that lie in the record as a resource of their own (a state of the patient resource does not)."""
    found: list[Problem] = [each for each in record.problems if tree.find(each.reference) is not None]
    for number, each in enumerate(found[:MOST]):
        kind = each.reference.partition("/")[0]
        notes = [] if each.active else [f"ended {written(each.end)}" if each.end else "no longer active"]
        notes += ["recognised by its words"] if each.by_words else []
        notes += (
            [f"recorded {written(each.recorded)}"] if each.onset and each.recorded not in (None, each.onset) else []
        )
        yield Row(f"problem-{number}", each.reference, pathway.displays.get(each.concept, each.concept),
                  day=iso(each.onset or each.recorded), note="; ".join(notes),
                  editable=kind not in UNDATED_KINDS)  # fmt: skip


def medicine_rows(tree: Tree, record: PatientRecord, pathway: Pathway) -> Iterator[Row]:
    found: list[Medication] = [each for each in record.medications if tree.find(each.reference) is not None]
    for number, each in enumerate(found[:MOST]):
        lasting = each.source in ("order", "statement")
        ended = lasting and not (each.active or each.end)
        notes = [SOURCES[each.source], each.route, "no longer active" if ended else ""]
        yield Row(
            f"medicine-{number}",
            each.reference,
            pathway.displays.get(each.ingredient, each.ingredient),
            day=iso(each.start),
            end=iso(each.end),
            note=", ".join(filter(None, notes)),
            has_end=lasting,
        )


def iso(day: date | None) -> str:
    """For a date field. A month or a year alone is no day, and is left as it is."""
    return "" if day is None or isinstance(day, PartDate) else day.isoformat()


AS_SHIPPED = "Invented patient, as shipped"
CHANGED = "Begun from an invented patient, with values changed on the page"
BROUGHT = "Data that somebody brought: pasted, or of a FHIR server"
MOST_LINES = 60  # lines of one kind on paper; a chart may hold thousands


@dataclass(frozen=True, slots=True)
class Subject:
    """The patient of a call. `origin` says whether the patient is one of our own; `lines` are (kind, entries)."""

    origin: str
    title: str  # of the example
    id: str
    sex: str
    age: int | None
    base: str  # of the FHIR server that the call names
    lines: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def words(self) -> str:
        """ "patient pt-1, female, 55 years" """
        age = "age not recorded" if self.age is None else f"{self.age} year{'' if self.age == 1 else 's'}"
        return f"patient {self.id}, {self.sex or 'sex not recorded'}, {age}"


def subject_of(answered: AnsweredCall, example: Example | None) -> Subject:
    """The patient of a call that began with that example, or with none."""
    record, pathway, born = answered.found.record, answered.config.pathway, answered.found.record.patient.born
    earlier = born and (answered.day.month, answered.day.day) < (born.month, born.day)
    return Subject(
        BROUGHT if example is None else AS_SHIPPED if is_as_shipped(answered, example) else CHANGED,
        example.title if example else "",
        answered.request.patient_id,
        record.patient.sex,
        answered.day.year - born.year - bool(earlier) if born else None,
        answered.request.fhir_base,
        tuple((kind, lines) for kind, found in recorded(record, pathway) if (lines := tuple(found)[:MOST_LINES])),
    )


def is_as_shipped(answered: AnsweredCall, example: Example) -> bool:
    """Does the call say the same as the example does on that day?"""
    shipped = opened(example, answered.config.content, answered.day)
    return shipped.day == answered.day and without_instance(shipped.body) == without_instance(answered.call.body)


def without_instance(body: bytes) -> Json:
    """A request without what names the single call."""
    return {name: each for name, each in Tree(body).json.items() if name != "hookInstance"}


def recorded(record: PatientRecord, pathway: Pathway) -> Iterator[tuple[str, Iterator[str]]]:
    """What was read of the patient, each entry in a line."""
    labs = sorted(record.labs, key=lambda lab: (lab.date is None, -(lab.date.toordinal() if lab.date else 0)))
    yield "Results", (f"{pathway.displays[lab.analyte]} {quantity(lab)}, {written(lab.date)}" for lab in labs)
    yield "Symptoms, diseases, pregnancy, diet", (problem_line(each, pathway) for each in record.problems)
    yield "Medicines", medicine_lines(record.medications, pathway)


def problem_line(problem: Problem, pathway: Pathway) -> str:
    ended = "" if problem.active else f", ended {written(problem.end)}" if problem.end else ", no longer active"
    return f"{pathway.displays.get(problem.concept, problem.concept)}, {days_of_problem(problem)}{ended}"


def medicine_lines(entries: Iterable[Medication], pathway: Pathway) -> Iterator[str]:
    """Each entry in a line; the days of a course of injections in one."""
    doses: dict[str, list[date]] = {}
    for each in entries:
        if each.start is not None and each.start == each.end:
            doses.setdefault(each.ingredient, []).append(each.start)
    for ingredient, days in doses.items():
        if len(days) > MANY:
            name = pathway.displays.get(ingredient, ingredient)
            yield f"{name}, {len(days)} doses given from {written(min(days))} to {written(max(days))}"
    for each in entries:
        if each.start is None or each.start != each.end or len(doses[each.ingredient]) <= MANY:
            yield medicine_line(each, pathway)


def medicine_line(entry: Medication, pathway: Pathway) -> str:
    name, how = pathway.displays.get(entry.ingredient, entry.ingredient), SOURCES[entry.source]
    until = f", until {written(entry.end)}" if entry.end else ""
    return f"{name} ({how}), from {written(entry.start)}{until}" if entry.start else f"{name} ({how}), undated{until}"
