"""Conditions, operations and the family's history become problems; allergies to a cobalamin or to cobalt.

A condition may also be an allergy. An allergy that is called resolved still counts (6.1).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import msgspec

from ..clinical.record import Allergy, Problem
from ..content.codes import UNLESS_WORDS
from . import reasons
from .concepts import Concept, concepts, find_codes, find_undotted_icd, texts
from .observations import ENDED
from .reading import Reading, reference_of, status_of
from .resources import CodeableConcept, Resource, listed

ENDED_STATUS = frozenset(("inactive", "resolved", "remission"))
ACTIVE_STATUS = frozenset(("active", "recurrence", "relapse"))
NO_END_WORDS = frozenset(  # what stands where an end belongs and says that there is none, or nothing
    (
        "ongoing", "on-going", "on going", "continuing", "continues", "active", "current", "currently", "present",
        "still present", "persistent", "persists", "chronic", "none", "no", "not", "never", "n/a", "na", "n.a",
        "not applicable", "unknown", "unk", "not known", "not resolved", "unresolved", "null", "nil", "false", "0",
        "open", "to date", "until now", "en cours", "laufend", "andauernd", "lopend",
    )
)  # fmt: skip
EVENTS = frozenset(("problem-pregnancy", "problem-breastfeeding"))  # their end is an event of its own, and counts
CATEGORY: msgspec.json.Decoder[list[CodeableConcept] | CodeableConcept | None] = msgspec.json.Decoder(
    list[CodeableConcept] | CodeableConcept | None
)
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
    end = calendar.not_before(onset, end)
    ended = has_ended(resource, end, reading.today)
    lasts = ended and end_is_void(resource, end, {onset, recorded})
    for name in names:
        if name.startswith("problem-"):
            if name in EVENTS and onset is None and recorded is None:
                reading.ignore(reference, reasons.UNDATED)
            if lasts and name not in EVENTS:
                reading.ignore(reference, reasons.NO_END)
                problem = Problem(reference, name[8:], "condition", onset, recorded, None, True, by_words)
            else:
                problem = Problem(reference, name[8:], "condition", onset, recorded, end, not ended, by_words)
            reading.add_problem(problem)
        elif name.startswith("allergy-"):
            reading.allergies.append(Allergy(reference, name[8:], recorded, by_words))
        elif name in ENDED:
            reading.deny(ENDED[name], onset or recorded)


def has_ended(resource: Resource, end: date | None, today: date) -> bool:
    """Is it called ended, or dated so?"""
    if ENDED_STATUS & codes_of(resource.clinical_status):
        return True
    if end is not None:
        return end <= today
    words = (resource.abatement_string or "").strip(" .?!-/()").casefold()
    age = resource.abatement_age
    return bool(resource.abatement_boolean or (words and words not in NO_END_WORDS) or (age and age.value))


def end_is_void(resource: Resource, end: date | None, begun: set[date | None]) -> bool:
    """Does the end not end the problem? So where the entry is called active, and where a visit ended and not what was
    found in it: an encounter diagnosis, or an entry without a status that ends on the day on which it begins."""
    status = codes_of(resource.clinical_status)
    if status:
        return bool(status & ACTIVE_STATUS)
    return end is not None and (end in begun or "encounter-diagnosis" in codes_of(categories(resource)))


def categories(resource: Resource) -> Concept:
    """What kind of entry it is; decoded only here, for results carry one too and are many."""
    try:
        return CATEGORY.decode(resource.category)
    except msgspec.ValidationError:
        return None


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
    period = resource.performed_period or resource.occurrence_period
    performed = resource.performed_date_time or resource.occurrence_date_time
    start = reading.calendar.day(performed) or reading.calendar.starts(period)
    end = reading.calendar.ends(period)
    last = end if end is not None and not reading.calendar.ahead(end) else start
    if start is None and "problem-b12-injections-recorded" in names:
        reading.ignore(reference, reasons.UNDATED)
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
ALLERGY_WORDS = {
    COBALT: re.compile(r"\bcobalt\b"),
    COBALAMIN: re.compile(r"\bcobalamin[sea]?\b|\bvitamin[ea]? b ?-?12\b"),
}
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
