"""Yes or no, as records say it: symptoms asked for, pregnancy status, qualitative tests."""

from __future__ import annotations

from ...content.codes import Codes
from ..datatypes import CodeableConcept, Coding
from ..resources import Component, Resource, listed

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
