"""Laboratory results counted: under which codes and in which units each analyte comes, and what is not mapped.

The service's own reading decides what is recognised, so that what is counted here is what a call would see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..clinical.units import normalise_unit
from ..content.codes import canonical_system
from ..fhir.reading.labs import test_in
from ..fhir.reading.observations import has_value
from ..fhir.reading.reading import Reading
from ..fhir.reading.recognise import Concept, concepts, find_codes, texts
from ..fhir.reading.values import LONGEST_UNIT, WRITTEN, amount_of
from ..fhir.resources import Component, Quantity, Resource, listed
from .names import suspected

LONGEST = 300  # characters of a code or system that are kept
DIFFERENT = 20_000  # codes and units that are counted apart
TEXTUAL = "(text)"
SHARE = "%"


class Code(NamedTuple):
    """A coding as the server sends it; `display` may be the text beside it."""

    system: str
    code: str
    display: str

    @property
    def known_system(self) -> str:
        """The code system that we know, or "" for a local one."""
        return canonical_system(self.system)


class Seen(NamedTuple):
    """A code in a unit. `family` is "" where the unit is not accepted, and `doubt` says why."""

    code: Code
    unit: str  # in words, as sent
    unit_code: str  # the code of the unit, where it is another text
    family: str
    doubt: str


@dataclass(slots=True)
class LabTally:
    """What was counted. The keys of `mapped` and `suspected` are analytes."""

    mapped: dict[str, Counter[Seen]] = field(default_factory=dict)
    suspected: dict[str, Counter[Seen]] = field(default_factory=dict)
    others: Counter[tuple[Code, str]] = field(default_factory=Counter)  # code and unit of what is none of ours
    uncoded: Counter[str] = field(default_factory=Counter)  # analyte named in words -> results without any code
    look_alikes: int = 0
    results: int = 0

    def add(self, resource: Resource, reading: Reading) -> None:
        """One Observation with its components."""
        self.results += 1
        self._part(resource, resource.code, reading)
        for component in listed(resource.component):
            self._part(component, component.code, reading)

    def _part(self, source: Resource | Component, code: Concept, reading: Reading) -> None:
        matches = find_codes(reading.find, code)
        test, reason = test_in(matches, reading)
        if reason:
            self.look_alikes += 1
        elif test is not None:
            coding = next(each for use, each in matches if use.concept == f"lab-{test.analyte.id}")
            seen = self._seen(Code(*named(coding, code)), source, test.analyte.id, reading)
            count(self.mapped.setdefault(test.analyte.id, Counter()), seen)
        elif not matches and has_value(source):
            self._unmapped(source, code, reading)

    def _unmapped(self, source: Resource | Component, code: Concept, reading: Reading) -> None:
        """A result whose codes say nothing to us: is its name that of one of our tests?"""
        codes = codings_of(code)
        names = dict.fromkeys(name for text in texts(code) if (name := suspected(text, reading.words)))
        analyte = next(iter(names)) if len(names) == 1 else ""
        if analyte and unit_text(source) == SHARE and SHARE not in reading.analytes[analyte].units:
            analyte = ""  # a share of something, not the amount that the limits are about
        if not codes:
            if analyte:
                self.uncoded[analyte] += 1
        elif analyte:
            seen = self._seen(codes[0], source, analyte, reading)
            count(self.suspected.setdefault(analyte, Counter()), seen)
        else:
            count(self.others, (codes[0], unit_text(source)))

    def _seen(self, code: Code, source: Resource | Component, analyte: str, reading: Reading) -> Seen:
        _, _, _, unit, doubt = amount_of(source, reading.analytes[analyte], reading)
        text = unit_text(source)
        return Seen(code, text, unit_code(source, text), unit.family if unit else "", doubt)


def count(counter: Counter, key: object) -> None:
    """One more, unless there are so many different ones that counting them apart serves nobody."""
    if key in counter or len(counter) < DIFFERENT:
        counter[key] += 1


def named(coding: object, concept: Concept) -> tuple[str, str, str]:
    """System, code, and the name that stands beside the code."""
    display = coding.display or next((each.text for each in concepts(concept) if each.text), "") or ""
    return (coding.system or "")[:LONGEST], (coding.code or "")[:LONGEST], display[:LONGEST]


def codings_of(concept: Concept) -> list[Code]:
    """The codings that have a code; a hospital's own first, for that is the one that its results will always have."""
    found = [Code(*named(each, concept)) for one in concepts(concept) for each in listed(one.coding) if each.code]
    return sorted(found, key=lambda code: (not code.system, bool(code.known_system)))


def unit_text(source: Resource | Component) -> str:
    """The unit as it was sent: of a quantity, or behind a number that was sent as text."""
    quantity: Quantity | None = source.value_quantity
    if quantity is not None:
        return (quantity.unit or quantity.code or "").strip()[:LONGEST_UNIT]
    if source.value_string is not None:
        match = WRITTEN.fullmatch(source.value_string[:LONGEST])
        return (match[3] or "").strip()[:LONGEST_UNIT] if match else TEXTUAL
    return TEXTUAL if source.value_codeable_concept is not None else ""


def unit_code(source: Resource | Component, text: str) -> str:
    """The code of the unit, unless it says the same as its text."""
    code = (source.value_quantity.code or "").strip()[:LONGEST_UNIT] if source.value_quantity is not None else ""
    return "" if normalise_unit(code) == normalise_unit(text) else code


def families_of(seen: Iterable[Seen]) -> frozenset[str]:
    """The families of the accepted units among these."""
    return frozenset(each.family for each in seen if each.family)
