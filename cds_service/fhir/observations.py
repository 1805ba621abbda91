"""Observations: each code with its value, in the Observation itself, in its components, in the members it contains.

A value is a laboratory result, a symptom, or whether the patient is pregnant or breastfeeding.
"""

from __future__ import annotations

import msgspec

from ..clinical.record import Problem
from . import reasons
from .concepts import NO, NOTHING, UNKNOWN, YES, Concept, Matches, answer, find_codes, in_loinc, interpreted, texts
from .labs import COUNTS, is_named, looks_like, read_in_full, read_result, taken, test_by_words, test_in, unmapped
from .reading import Reading, Recognition, reference_of, remember, status_of
from .resources import CodeableConcept, Component, Resource, listed

OTHER = Recognition(None, "", NOTHING, False)  # most of a chart: known by what it is, before anything of it is read
TWO_VALUES = "two-values"  # a doubt: a key of messages.toml [doubt]


def read_observation(resource: Resource, reading: Reading) -> None:
    """Read an Observation, its components, and the Observations that it contains."""
    if resource.component is None and resource.contained is None:  # nearly all
        read_part(resource, resource, reading)
        return
    read_before = len(reading.labs)
    read_part(resource, resource, reading)
    if resource.component is not None:
        for component in listed(resource.component):
            read_part(component, resource, reading)
        settle_repeats(read_before, reading)
    if resource.contained is not None:
        for member in resource.contained:
            if member.resource_type == "Observation":
                read_part(member, inherited(member, resource), reading)


def settle_repeats(start: int, reading: Reading) -> None:
    """Of one test that an Observation gives more than once, in itself and in a component, the same value counts once;
    values that disagree are in doubt, all of them."""
    groups: dict[str, list[int]] = {}
    for place in range(start, len(reading.labs)):
        groups.setdefault(reading.labs[place].analyte, []).append(place)
    superfluous: list[int] = []
    for places in groups.values():
        if len(places) < 2:
            continue
        read = [read_in_full(reading.labs[place]) for place in places]
        if len({(each.number, each.comparator, each.unit, each.outcome) for each in read}) == 1:
            superfluous += places[1:]
            continue
        for place, each in zip(places, read, strict=True):
            reading.labs[place] = each._replace(doubt=each.doubt or TWO_VALUES)
    for place in sorted(superfluous, reverse=True):
        del reading.labs[place], reading.lab_sources[place]


def inherited(member: Resource, panel: Resource) -> Resource:
    """A contained member speaks for itself; its name, and what it leaves out, it has from the panel."""
    undated = member.effective_date_time is None and member.effective_period is None
    return msgspec.structs.replace(
        member,
        id=panel.id,
        status=member.status or panel.status,
        effective_date_time=panel.effective_date_time if undated else member.effective_date_time,
        effective_period=panel.effective_period if undated else member.effective_period,
        issued=member.issued or panel.issued,
        specimen=member.specimen or panel.specimen,
        contained=panel.contained,
    )


def read_part(source: Resource | Component, holder: Resource, reading: Reading) -> None:
    """One code with its value: by its codes, else by its words."""
    found_code = recognised(source.code, reading)
    if found_code is OTHER and source.value_quantity is not None:
        return
    test, reason, matches, named, alike = found_code
    if alike and has_value(source) and (found := unmapped(source, holder, alike, reading)):
        reading.unmapped.append(found)
    if test is None and not reason and not matches:
        as_number = not (source.value_quantity is None and source.value_string is None and source.value_integer is None)
        is_state = not as_number and read_state_by_words(source, holder, reading)
        if named and not is_state and has_value(source):
            reading.ignore(reference_of(holder), reasons.WORDS_ONLY)
    elif source is holder and holder.component is not None and not has_value(source):
        return  # a panel: what it holds is in its components
    elif reason:
        reading.ignore(reference_of(holder), reason)
    elif test is None:
        read_state(source, holder, matches, reading)
    elif not test.doubt or has_value(source):
        read_result(source, holder, test, reading)


def has_value(source: Resource | Component) -> bool:
    """Does it carry a value, or the reason why it has none?"""
    values = (
        source.value_quantity,
        source.value_string,
        source.value_codeable_concept,
        source.value_integer,
        source.value_boolean,
        source.data_absent_reason,
    )
    return any(value is not None for value in values)


def recognised(code: Concept, reading: Reading) -> Recognition:
    """What a code stands for. Results repeat their codes, so what was found for one is remembered."""
    if type(code) is CodeableConcept and type(code.coding) is list and len(code.coding) == 1:
        coding = code.coding[0]
        key = (coding.system, coding.code, coding.display, code.text)
        known = reading.recognised.tests.get(key)
        if known is None:
            found = recognise(code, reading)
            known = remember(reading.recognised.tests, key, OTHER if found.is_other else found)
        return known
    return recognise(code, reading)


def recognise(code: Concept, reading: Reading) -> Recognition:
    """By code, else by the name of a test. The name alone makes a B12 a doubtful one, and any other only reported."""
    matches = find_codes(reading.find, code)
    if matches:
        test, reason = test_in(matches, reading)
        return Recognition(test, reason, matches, False)
    for text in texts(code):
        names = reading.words.find(text, "analyte")
        if names:
            test = test_by_words(text, names, reading)
            return Recognition(test, "", matches, test is None and not in_loinc(code), looks_like(text, names))
        if is_named(text):
            return Recognition(None, "", matches, not in_loinc(code))
    return Recognition(None, "", matches, False)


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


def read_state_by_words(source: Resource | Component, holder: Resource, reading: Reading) -> bool:
    """A symptom of which only the name is known; False if none is named. A code of LOINC names a question about it:
    its answer is not read."""
    found: dict[str, None] = {}
    for text in texts(source.code):
        found.update(dict.fromkeys(reading.words.find(text, "problem")))
    found.pop("look-alike", None)
    if not found or in_loinc(source.code):
        return False
    if COUNTS.get(status_of(holder)) is None:
        reading.ignore(reference_of(holder), reasons.of_status(status_of(holder)))
        return True
    valued = source.value_boolean is not None or source.value_codeable_concept is not None
    said = answer(source, reading.codes) or interpreted(source, reading.codes)
    if said == YES or (said == "" and not valued):
        for name in found:
            add_state(name, holder, reading, True)
    return True


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
