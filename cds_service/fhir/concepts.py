"""What a coded or written concept stands for: by code first, by whole words only where no code says anything.

Also yes or no, as records say it: symptoms asked for, pregnancy status, qualitative tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..content.codes import ICD_10, ICD_10_CM, LOINC, NDC, Codes, CodeUse, canonical_system
from .resources import CodeableConcept, Coding, Component, Resource, listed

Find = Callable[[str | None, str | None], tuple[CodeUse, ...]]
Concept = list[CodeableConcept] | CodeableConcept | str | None
Matches = list[tuple[CodeUse, Coding]]

CUT = 1000  # no text is searched beyond this length
NOTHING: Matches = []
ICD_LIKE = re.compile(r"[A-Z][0-9][0-9A-Z][0-9A-Z]{1,4}")  # undotted, at least one character after the category
LONGEST_CODE = 64


def find_codes(find: Find, concept: Concept) -> Matches:
    """What the codings of a concept stand for, in their order; empty for most of what a record holds."""
    if type(concept) is not CodeableConcept:
        return [match for each in concepts(concept) for match in find_codes(find, each)]
    codings = concept.coding
    if codings is None:
        return NOTHING if concept.concept is None else find_codes(find, concept.concept)
    found = NOTHING
    for coding in codings if isinstance(codings, list) else (codings,):
        uses = find(coding.system, coding.code)
        if uses:
            found = [*found, *[(use, coding) for use in uses]]
    return found


def concepts(concept: Concept) -> list[CodeableConcept]:
    """The concepts of a field that may hold one, several, a bare text, or none."""
    if isinstance(concept, str):
        return [CodeableConcept(text=concept)]
    return [each.concept or each for each in listed(concept)]


def find_undotted_icd(find: Find, concept: Concept) -> Matches:
    """Diagnoses in a hospital's own code system that look like ICD-10 without its dot ("D510", "Z9884")."""
    found: Matches = []
    for coding in (coding for each in concepts(concept) for coding in listed(each.coding)):
        code = (coding.code or "")[:LONGEST_CODE].strip().upper().replace(".", "")
        if not is_local(coding.system) or not ICD_LIKE.fullmatch(code):
            continue
        uses = find(ICD_10_CM, code) or find(ICD_10, code)
        found += [(use, coding) for use in uses]
    return found


def find_bare_ndc(find: Find, concept: Concept) -> Matches:
    """Medicines in a hospital's own code system whose code has the eleven digits of an NDC."""
    found: Matches = []
    for coding in (coding for each in concepts(concept) for coding in listed(each.coding)):
        code = (coding.code or "")[:LONGEST_CODE].strip()
        if is_local(coding.system) and len(code) == 11 and code.isdecimal():
            found += [(use, coding) for use in find(NDC, code)]
    return found


def is_local(system: str | None) -> bool:
    """Is this a code system of which we know nothing?"""
    return not system or not canonical_system(system[:200])


def in_loinc(concept: Concept) -> bool:
    """Has the concept a code of LOINC? Then it names a question or a test, and that is not one of ours."""
    codings = (coding for each in concepts(concept) for coding in listed(each.coding))
    return any(coding.system and canonical_system(coding.system[:200]) == LOINC for coding in codings)


def texts(concept: Concept) -> list[str]:
    """What a concept says in words: its text, then the displays, each cut."""
    found = []
    for each in concepts(concept):
        said = (each.text, *[coding.display for coding in listed(each.coding)])
        found += [text[:CUT] for text in said if text]
    return found


YES, NO, UNKNOWN = "yes", "no", "unknown"
CUT = 1000  # no text is looked at beyond this length

FIRST_WORDS = {
    **dict.fromkeys("yes y true positive pos present detected reactive det +".split(), YES),
    **dict.fromkeys("pregnant currently breastfeeding breast-feeding lactating".split(), YES),
    **dict.fromkeys("no n false not none nil never absent negative neg nd -".split(), NO),
    **dict.fromkeys("denies denied without undetected undetectable nonreactive non-reactive".split(), NO),
    **dict.fromkeys("unknown unk uncertain unsure equivocal borderline indeterminate".split(), UNKNOWN),
    **dict.fromkeys("inconclusive possible possibly refused unable asku nask ni nav".split(), UNKNOWN),
}
QUALIFIERS = frozenset("strongly strong weakly weak moderately moderate low high".split())
NOT_KNOWN = frozenset("known asked recorded sure applicable assessed examined available done".split())


def answer_of_text(text: str | None) -> str:
    """ "yes", "no" or "unknown" if the text begins like one of them, else ""."""
    words = [word.strip(".,;:!?()") for word in (text or "")[:CUT].casefold().split()[:3]]
    if words and words[0] in QUALIFIERS:
        words = words[1:]
    if not words:
        return ""
    if words[0] == "not" and words[1:2] and words[1] in NOT_KNOWN:
        return UNKNOWN
    return FIRST_WORDS.get(words[0], "")


def answer_of_concept(concept: CodeableConcept, codes: Codes) -> str:
    """By code where the content knows it, else by the words of text and displays."""
    codings: list[Coding] = listed(concept.coding)
    for coding in codings:
        for use in codes.find(coding.system, coding.code):
            answer = answer_of_status(use.concept)
            if answer:
                return answer
    for text in (concept.text, *(coding.display for coding in codings), *(coding.code for coding in codings)):
        answer = answer_of_text(text)
        if answer:
            return answer
    return ""


def answer_of_status(concept: str) -> str:
    """What a value set of coded values says: "status-not-pregnant" is a no, "status-unknown" is neither."""
    kind, _, name = concept.partition("-")
    if kind == "problem":
        return YES
    if kind != "status":
        return ""
    parts = name.split("-")
    if "unknown" in parts:
        return UNKNOWN
    return NO if {"no", "not", "never", "negative", "absent", "stopped"}.intersection(parts) else YES


def answer(resource: Resource | Component, codes: Codes) -> str:
    """What an Observation or component answers: "yes", "no", "unknown", or "" where it has no such value."""
    if resource.data_absent_reason is not None:
        return UNKNOWN
    if resource.value_boolean is not None:
        return YES if resource.value_boolean else NO
    if resource.value_codeable_concept is not None:
        return answer_of_concept(resource.value_codeable_concept, codes)
    if resource.value_string is not None:
        return answer_of_text(resource.value_string)
    number = resource.value_integer
    if number is None and resource.value_quantity is not None:
        number = resource.value_quantity.value
    return NO if number is not None and number == 0 else ""


def interpreted(resource: Resource | Component, codes: Codes) -> str:
    """The laboratory's own "positive" or "negative" in `interpretation`, as yes or no."""
    for concept in listed(resource.interpretation):
        found = answer_of_concept(concept, codes)
        if found in (YES, NO):
            return found
    return ""
