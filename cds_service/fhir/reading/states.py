"""Symptoms sent as Observations, and whether the patient is pregnant or breastfeeding."""

from __future__ import annotations

from ...clinical.record import Problem
from ..resources import Component, Resource
from . import reasons
from .answers import NO, UNKNOWN, YES, answer, interpreted
from .labs import COUNTS, taken
from .reading import Reading, reference_of, status_of
from .recognise import Matches, in_loinc, texts

QUESTIONS = {"status-pregnancy": "pregnancy", "status-breastfeeding": "breastfeeding"}  # their value is the answer
ENDED = {"status-not-pregnant": "pregnancy", "status-not-breastfeeding": "breastfeeding"}  # said by the code itself


def read_state(source: Resource | Component, holder: Resource, matches: Matches, reading: Reading) -> None:
    """What the matches name, present or denied by the value."""
    named = [use.concept for use, _ in matches]
    questions = [QUESTIONS[name] for name in named if name in QUESTIONS]
    ended = [ENDED[name] for name in named if name in ENDED]
    symptoms = [name[8:] for name in named if name.startswith("problem-")]
    if not (questions or ended or symptoms):
        return
    if COUNTS.get(status_of(holder)) is None:
        reading.ignore(reference_of(holder), reasons.of_status(status_of(holder)))
        return
    said = answer(source, reading.codes) or interpreted(source, reading.codes)
    for concept in dict.fromkeys(questions):
        if said == NO:
            deny(concept, holder, reading)
        elif said == YES:
            add_state(concept, holder, reading, False)
    for concept in ended if said not in (NO, UNKNOWN) else ():
        deny(concept, holder, reading)
    for concept in dict.fromkeys(symptoms) if not questions else ():
        if said == NO and concept in QUESTIONS.values():
            deny(concept, holder, reading)
        elif said not in (NO, UNKNOWN):
            add_state(concept, holder, reading, False)


def read_state_by_words(source: Resource | Component, holder: Resource, reading: Reading) -> None:
    """A symptom of which only the name is known. A code of LOINC names a question about it: its answer is not read."""
    found: dict[str, None] = {}
    for text in texts(source.code):
        found.update(dict.fromkeys(reading.words.find(text, "problem")))
    found.pop("look-alike", None)
    if not found or in_loinc(source.code):
        return
    if COUNTS.get(status_of(holder)) is None:
        reading.ignore(reference_of(holder), reasons.of_status(status_of(holder)))
        return
    valued = source.value_boolean is not None or source.value_codeable_concept is not None
    said = answer(source, reading.codes) or interpreted(source, reading.codes)
    if said == YES or (said == "" and not valued):
        for name in found:
            add_state(name, holder, reading, True)


def add_state(concept: str, holder: Resource, reading: Reading, by_words: bool) -> None:
    """The symptom or state was there on the day of the Observation."""
    when = taken(holder, reading)
    reading.add_problem(
        Problem(
            reference=reference_of(holder),
            concept=concept,
            source="observation",
            recorded=reading.calendar.day_of(when),
            by_words=by_words,
        )
    )


def deny(concept: str, holder: Resource, reading: Reading) -> None:
    """The patient was not pregnant, or not breastfeeding, on the day of the Observation."""
    reading.deny(concept, reading.calendar.day_of(taken(holder, reading)))
