"""Conditions, operations and the family's history become problems; allergies to a cobalamin or to cobalt.

A condition may also be an allergy. An allergy that is called resolved still counts (6.1).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

from ..clinical.record import Allergy, Problem
from ..content.codes import UNLESS_WORDS
from . import reasons
from .concepts import Concept, concepts, find_codes, find_undotted_icd, texts
from .observations import ENDED
from .reading import Reading, reference_of, status_of
from .resources import Resource, listed

ENDED_STATUS = frozenset(("inactive", "resolved", "remission"))
NEVER = {"refuted": reasons.REFUTED, "entered-in-error": reasons.ENTERED_IN_ERROR}
LOOK_ALIKE = "problem-look-alike"  # recognised only so that its words are not taken for something else
OPERATIONS = frozenset(  # what a Procedure may be by its words: "assessment of gait" is no gait problem
    f"problem-{name}"
    for name in (
        "gastrectomy", "gastrectomy-total", "gastrectomy-partial", "ileal-resection-terminal", "ileal-resection-other",
        "bariatric", "bariatric-specialist", "bariatric-other", "radiotherapy", "dialysis", "b12-injections-recorded",
        "gastroscopy",
    )
)  # fmt: skip
PERFORMED = frozenset(("completed", "in-progress", "unknown", ""))  # unknown: the record names it and denies nothing
INHERITED = frozenset(  # NG239 Box 2: a family history of B12 deficiency or an autoimmune condition
    (
        "b12-deficiency", "pernicious-anaemia", "coeliac", "autoimmune-thyroid", "sjogren", "type1-diabetes",
        "family-history",
    )
)  # fmt: skip


def named_problems(concept: Concept, reading: Reading) -> tuple[list[str], bool]:
    """(value sets that the concept belongs to, by words?): by code, by an undotted ICD code, else by its words.

    A code that is too wide by itself counts where neither another code nor the words name a problem.
    """
    matches = find_codes(reading.find, concept) or find_undotted_icd(reading.find, concept)
    names = dict.fromkeys(use.concept for use, _ in matches)
    wide = {use.concept for use, _ in matches if use.use == UNLESS_WORDS}
    if names.keys() - wide:
        return [name for name in names if name not in wide and name != LOOK_ALIKE], False
    found: dict[str, None] = {}
    for text in texts(concept):
        found.update((f"problem-{name}", None) for name in reading.words.find(text, "problem"))
    found.pop(LOOK_ALIKE, None)
    return (list(found), True) if found else (list(wide), False)


def codes_of(status: Concept) -> set[str]:
    """The codes of clinicalStatus or verificationStatus: object, list or bare text."""
    found: set[str] = set()
    for each in concepts(status):
        found.update((coding.code or "") for coding in listed(each.coding))
        if each.text and not each.coding:
            found.add(each.text)
    return {code.strip().lower() for code in found if code}


def read_condition(resource: Resource, reading: Reading) -> None:
    """A problem-list entry or diagnosis."""
    names, by_words = named_problems(resource.code, reading)
    if not any(name.startswith(("problem-", "allergy-", "status-")) for name in names):
        return
    reference = reference_of(resource)
    for code in codes_of(resource.verification_status):
        if code in NEVER:
            reading.ignore(reference, NEVER[code])
            return
    day, calendar = reading.calendar.day, reading.calendar
    onset = day(resource.onset_date_time) or calendar.starts(resource.onset_period)
    recorded = day(resource.recorded_date) or day(resource.asserted_date)
    end = day(resource.abatement_date_time) or calendar.ends(resource.abatement_period)
    active = is_active(resource, end, reading.today)
    for name in names:
        if name.startswith("problem-"):
            reading.add_problem(Problem(reference, name[8:], "condition", onset, recorded, end, active, by_words))
        elif name.startswith("allergy-"):
            reading.allergies.append(Allergy(reference, name[8:], recorded, by_words))
        elif name in ENDED:
            reading.deny(ENDED[name], onset or recorded)


def is_active(resource: Resource, end: date | None, today: date) -> bool:
    """Neither called ended nor dated so."""
    if ENDED_STATUS & codes_of(resource.clinical_status):
        return False
    if end is not None:
        return end > today
    return not (resource.abatement_boolean or resource.abatement_string or resource.abatement_age)


def read_procedure(resource: Resource, reading: Reading) -> None:
    """An operation that was done, or an injection recorded as a procedure."""
    names, by_words = named_problems(resource.code, reading)
    names = [name for name in names if name.startswith("problem-") and (name in OPERATIONS or not by_words)]
    if not names:
        return
    reference, status = reference_of(resource), status_of(resource)
    if resource.not_done or resource.not_performed:
        reading.ignore(reference, reasons.NOT_DONE)
        return
    if resource.do_not_perform or status not in PERFORMED:
        reading.ignore(reference, reasons.DO_NOT_PERFORM if resource.do_not_perform else reasons.of_status(status))
        return
    period = resource.performed_period
    start = reading.calendar.day(resource.performed_date_time) or reading.calendar.starts(period)
    end = reading.calendar.ends(period)
    last = end if end is not None and not reading.calendar.ahead(end) else start
    for name in names:
        reading.add_problem(Problem(reference, name[8:], "procedure", start, last or start, None, True, by_words))


def read_family(resource: Resource, reading: Reading) -> None:
    """What relatives have. Only B12 deficiency, pernicious anaemia and autoimmune disease matter here."""
    found, all_by_words = False, True
    for condition in listed(resource.condition):
        names, by_words = named_problems(condition.code, reading)
        if any(name[8:] in INHERITED for name in names if name.startswith("problem-")):
            found, all_by_words = True, all_by_words and by_words
    if not found:
        return
    status = status_of(resource)
    if status in ("entered-in-error", "health-unknown"):
        reading.ignore(reference_of(resource), reasons.of_status(status))
    else:
        reading.add_problem(Problem(reference_of(resource), "family-history", "family", by_words=all_by_words))


def close_ended(reading: Reading) -> None:
    """A pregnancy or breastfeeding recorded before it was denied has ended by the day of the denial."""
    for position, problem in enumerate(reading.problems):
        denied = reading.ended.get(problem.concept)
        if denied is None:
            continue
        newest = max((day for day in (problem.onset, problem.recorded) if day), default=None)
        if newest is not None and newest < denied:
            end = min(problem.end, denied) if problem.end else denied
            reading.problems[position] = replace(problem, end=end, active=False)


COBALAMIN, COBALT = "cobalamin", "cobalt"
ALLERGY_WORDS = {COBALT: re.compile(r"\bcobalt\b"), COBALAMIN: re.compile(r"\bcobalamins?\b|\bvitamin b ?-?12\b")}
DENIED = re.compile(r"\s*(?:no|not|nil|none|denies|denied|without)\b")


def read_allergy(resource: Resource, reading: Reading) -> None:
    """By the code or text of the allergy, or by the substance of a reaction."""
    found: dict[str, bool] = {}
    for concept in (resource.code, *[each.substance for each in listed(resource.reaction)]):
        for substance, by_words in substances(concept, reading):
            found[substance] = found.get(substance, True) and by_words
    if not found:
        return
    reference = reference_of(resource)
    for code in codes_of(resource.verification_status):
        if code in NEVER:
            reading.ignore(reference, NEVER[code])
            return
    recorded = reading.calendar.day(resource.recorded_date) or reading.calendar.day(resource.asserted_date)
    for substance, by_words in found.items():
        reading.allergies.append(Allergy(reference, substance, recorded, by_words))


def substances(concept: Concept, reading: Reading) -> list[tuple[str, bool]]:
    """(substance, by words?) that a concept names."""
    cobalamins = reading.groups.get(COBALAMIN, frozenset())
    found = []
    for use, _ in find_codes(reading.find, concept):
        kind, _, name = use.concept.partition("-")
        if kind == "allergy":
            found.append((name, False))
        elif kind == "medicine" and name in cobalamins:
            found.append((COBALAMIN, False))
    if found:
        return found
    for text in texts(concept):
        if not cobalamins.isdisjoint(reading.words.find(text, "medicine")):
            found.append((COBALAMIN, True))
        plain = text.casefold()
        if not DENIED.match(plain):
            found += [(substance, True) for substance, words in ALLERGY_WORDS.items() if words.search(plain)]
    return found
