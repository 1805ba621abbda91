"""By which route a medicine is given: as coded, as written, or as far as the product's form tells."""

from __future__ import annotations

import re

from ..datatypes import CodeableConcept, Dosage
from ..resources import listed
from .products import Product
from .reading import Reading
from .recognise import find_codes, texts

WRITTEN = (  # in this order: "sublingual tablet" is no oral tablet
    ("im", re.compile(r"\bintra-?\s?muscular(?:ly)?\b|\bi\.?m\.?\b|\bim\b")),
    ("sc", re.compile(r"\bsub-?\s?cutaneous(?:ly)?\b|\bsub-?cut\b|\bs\.?c\.?\b|\bs\.?q\.?\b")),
    ("iv", re.compile(r"\bintra-?\s?venous(?:ly)?\b|\bi\.?v\.?\b")),
    ("sublingual", re.compile(r"\bsub-?\s?lingual(?:ly)?\b|\bunder the tongue\b")),
    ("nasal", re.compile(r"\bnasal(?:ly)?\b|\bintra-?nasal(?:ly)?\b|\bnostril")),
    ("oral", re.compile(r"\boral(?:ly)?\b|\bby mouth\b|\bp\.?o\.?\b|\bper os\b|\bswallow")),
    (
        "other",
        re.compile(
            r"\bophthalmic|\beyes?\b|\bears?\b|\botic\b|\btopical|\bcutaneous\b|\bvagina|\brect(?:al|um)|\binhal|\bskin\b"
            r"|\btransdermal|\bintrathecal|\bintradermal|\bintravitreal"
        ),
    ),
)
BY_FORM = (
    ("sublingual", re.compile(r"\bsub-?lingual")),
    ("nasal", re.compile(r"\bnasal\b")),
    (
        "other",
        re.compile(
            r"\beye\b|\bear\b|\bophthalmic|\botic\b|\bointment|\bcream\b|\bpatch|\btransdermal|\bvaginal|\bsuppositor"
            r"|\binhal|\bimplant|\bintrauterine"
        ),
    ),
    ("injection", re.compile(r"\binjec|\bampoule|\bampule|\bvial\b|\bsyringe|\binfusion\b|\bauto-?injector")),
    ("oral", re.compile(r"\btab(?:let)?s?\b|\bcap(?:sule)?s?\b|\boral\b|\blozenge|\bchewable|\bsyrup|\bsachet")),
)


def route_of(dosages: list[Dosage], product: Product, reading: Reading) -> str:
    """The route, or "" where nothing says it."""
    for dosage in dosages:
        found = by_concept(dosage.route, reading) if dosage.route is not None else ""
        if found:
            return found
    for dosage in dosages:
        found = by_words(dosage.text)
        if found:
            return found
    return by_form(product, dosages)


def by_concept(route: CodeableConcept, reading: Reading) -> str:
    """By its code, else by its words; a route that is named but is none of ours is "other"."""
    for use, _ in find_codes(reading.find, route):
        if use.concept.startswith("route-"):
            return use.concept.removeprefix("route-")
    written = texts(route)
    for text in (*written, *[coding.code or "" for coding in listed(route.coding)]):
        found = by_words(text)
        if found:
            return found
    return "other" if written else ""


def by_words(text: str | None) -> str:
    """The first route that a text names."""
    plain = (text or "")[:1000].lower()
    return next((route for route, pattern in WRITTEN if pattern.search(plain)), "") if plain else ""


def by_form(product: Product, dosages: list[Dosage]) -> str:
    """What the form of the product allows: tablets are swallowed, an injection is given by one of several routes."""
    units = [
        each.dose_quantity.unit or each.dose_quantity.code or ""
        for dosage in dosages
        for each in listed(dosage.dose_and_rate)
        if each.dose_quantity is not None
    ]
    for text in (*texts(product.form), *product.texts, *units):
        plain = text.lower()
        found = next((route for route, pattern in BY_FORM if pattern.search(plain)), "")
        if found:
            return found
    return ""
