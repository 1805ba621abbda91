"""Of whom an answer speaks, and what was recorded of them: for the head of a page, and for paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cds_service.clinical.case import quantity, written
from cds_service.clinical.record import Medication, PatientRecord, Problem
from cds_service.clinical.tables import Pathway

from .desk import Called
from .examples import Example, opened
from .request_tree import Json, Tree
from .timeline import SOURCES

AS_SHIPPED = "Invented patient, as shipped"
CHANGED = "Begun from an invented patient, with values changed on the page"
BROUGHT = "Data that somebody brought: pasted, or of a FHIR server"
MOST = 60  # lines of one kind on paper; a chart may hold thousands


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


def subject_of(called: Called, example: Example | None) -> Subject:
    """The patient of a call that began with that example, or with none."""
    record, pathway, born = called.found.record, called.service.pathway, called.found.record.patient.born
    earlier = born and (called.day.month, called.day.day) < (born.month, born.day)
    return Subject(
        BROUGHT if example is None else AS_SHIPPED if is_as_shipped(called, example) else CHANGED,
        example.title if example else "",
        called.request.patient_id,
        record.patient.sex,
        called.day.year - born.year - bool(earlier) if born else None,
        called.request.fhir_base,
        tuple((kind, lines) for kind, found in recorded(record, pathway) if (lines := tuple(found)[:MOST])),
    )


def is_as_shipped(called: Called, example: Example) -> bool:
    """Does the call say the same as the example does on that day?"""
    shipped = opened(example, called.service.content, called.day)
    return shipped.day == called.day and plain(shipped.body) == plain(called.ask.body)


def plain(body: bytes) -> Json:
    """A request without what names the single call."""
    return {name: each for name, each in Tree(body).json.items() if name != "hookInstance"}


def recorded(record: PatientRecord, pathway: Pathway) -> Iterator[tuple[str, Iterator[str]]]:
    """What was read of the patient, each entry in a line."""
    labs = sorted(record.labs, key=lambda lab: (lab.date is None, -(lab.date.toordinal() if lab.date else 0)))
    yield "Results", (f"{pathway.displays[lab.analyte]} {quantity(lab)}, {written(lab.date)}" for lab in labs)
    yield "Symptoms, diseases, pregnancy, diet", (told_problem(each, pathway) for each in record.problems)
    yield "Medicines", (told_medicine(each, pathway) for each in record.medications)


def told_problem(problem: Problem, pathway: Pathway) -> str:
    day = problem.onset or problem.recorded
    ended = "" if problem.active else f", ended {written(problem.end)}" if problem.end else ", no longer active"
    return f"{pathway.displays.get(problem.concept, problem.concept)}, {written(day)}{ended}"


def told_medicine(entry: Medication, pathway: Pathway) -> str:
    name, how = pathway.displays.get(entry.ingredient, entry.ingredient), SOURCES[entry.source]
    until = f", until {written(entry.end)}" if entry.end else ""
    return f"{name} ({how}), from {written(entry.start)}{until}" if entry.start else f"{name} ({how}), undated{until}"
