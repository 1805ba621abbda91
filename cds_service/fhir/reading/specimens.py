"""What was examined: urine, cerebrospinal fluid, dried or cord blood are not compared with serum limits (6.1)."""

from __future__ import annotations

from ..datatypes import Reference
from ..resources import Resource, listed
from .reading import Reading
from .recognise import find_codes, texts

WORDS = (
    ("urin", "urine"),
    ("csf", "cerebrospinal fluid"),
    ("cerebrospinal", "cerebrospinal fluid"),
    ("liquor", "cerebrospinal fluid"),
    ("lumba", "cerebrospinal fluid"),
    ("dried blood", "dried blood"),
    ("blood spot", "dried blood"),
    ("cord blood", "cord blood"),
    ("umbilical", "cord blood"),
    ("amniotic", "amniotic fluid"),
    ("saliva", "saliva"),
    ("synovial", "synovial fluid"),
    ("pleura", "pleural fluid"),
    ("ascit", "ascitic fluid"),
    ("faec", "faeces"),
    ("stool", "faeces"),
    ("bone marrow", "bone marrow"),
)
MOST = 10  # specimens of one result that are looked at
ACCEPTED = frozenset(("serum", "plasma", "blood", "whole-blood", "venous-blood"))  # should the content list these too


def other_specimen(resource: Resource, reading: Reading) -> str:
    """What the specimen is, if it is none that serum limits hold for; "" if it is, or is not said."""
    for reference in listed(resource.specimen)[:MOST]:
        key = reference.reference or reference.display
        if not key:
            continue
        if key.startswith("#"):
            found = read_specimen(reference, resource, reading)
        else:
            found = reading.specimens.get(key)
            if found is None:
                found = reading.specimens[key] = read_specimen(reference, resource, reading)
        if found:
            return found
    return ""


def read_specimen(reference: Reference, holder: Resource, reading: Reading) -> str:
    """By the Specimen itself where it is here, else by what the reference is called."""
    specimen = reading.resolve(reference.reference, holder)
    if specimen is not None and specimen.resource_type == "Specimen":
        for use, _ in find_codes(reading.find, specimen.type):
            kind, _, name = use.concept.partition("-")
            if kind == "specimen":
                return "" if name in ACCEPTED else name.replace("-", " ")
        for text in texts(specimen.type):
            found = specimen_in(text)
            if found:
                return found
    return specimen_in(reference.display or "")


def specimen_in(text: str) -> str:
    """The specimen that a text names, if it is one of those that do not count."""
    plain = text[:200].casefold()
    return next((name for word, name in WORDS if word in plain), "")
