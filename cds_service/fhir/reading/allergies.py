"""Allergies and intolerances to a cobalamin or to cobalt. One that is called resolved still counts (6.1)."""

from __future__ import annotations

import re

from ...clinical.record import Allergy
from ..resources import Resource, listed
from .problems import NEVER, codes_of
from .reading import Reading, reference_of
from .recognise import Concept, find_codes, texts

COBALAMIN, COBALT = "cobalamin", "cobalt"
WORDS = {COBALT: re.compile(r"\bcobalt\b"), COBALAMIN: re.compile(r"\bcobalamins?\b|\bvitamin b ?-?12\b")}
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
            found += [(substance, True) for substance, words in WORDS.items() if words.search(plain)]
    return found
