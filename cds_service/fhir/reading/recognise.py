"""What a coded or written concept stands for: by code first, by whole words only where no code says anything."""

from __future__ import annotations

import re
from collections.abc import Callable

from ...content.codes import ICD_10, ICD_10_CM, LOINC, NDC, CodeUse, canonical_system
from ..datatypes import CodeableConcept, Coding
from ..resources import listed

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
        return NOTHING
    if type(codings) is Coding:
        codings = [codings]
    found = NOTHING
    for coding in codings:
        uses = find(coding.system, coding.code)
        if uses:
            found = [*found, *[(use, coding) for use in uses]]
    return found


def concepts(concept: Concept) -> list[CodeableConcept]:
    """The concepts of a field that may hold one, several, a bare text, or none."""
    if isinstance(concept, str):
        return [CodeableConcept(text=concept)]
    return listed(concept)


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
