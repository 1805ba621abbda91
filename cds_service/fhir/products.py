"""Which of our ingredients a medicine holds, how strong it is, and by which route it is given.

An ingredient is found by code, then ATC, then NDC, then words. The route is the one that is coded or written, or what
the form of the product allows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple, cast

from ..content.codes import ATC, NDC, canonical_system
from .concepts import CUT, concepts, find_bare_ndc, find_codes, texts
from .dosage import micrograms, strength_in
from .index import WORD
from .reading import CodeKey, Reading, remember
from .resources import CodeableConcept, Dosage, Ingredient, Resource, listed, medicine_of

LEVELS = {ATC: "atc", NDC: "ndc"}  # every other code system: "code"
ORDER = ("code", "atc", "ndc")
VITAMIN_WORDS = re.compile(r"multi-?\s?vit|vitamins\b|prenatal|vitamin b[ -]?co|vitamin b complex|b-complex")
SURELY_SEVERAL = re.compile(r"multi-?\s?vit|prenatal")  # no class of plain B12 or folic acid is called so
MOST_PARTS = 200  # codings, ingredients or identifiers of one Medication: real ones have some twenty
MANY_PARTS = 4  # ingredients in one product: vitamins and minerals, with micrograms of each
CYANIDE_WORDS = ("cyanokit", "cyanide")
CYANIDE_DOSE = Decimal(1_000_000)  # micrograms: no B12 treatment comes in grams
DOSED = ("cobalamin", "folic", "folinic", "methotrexate")  # groups whose dose decides something
COMBINED = frozenset(("cyanocobalamin", "hydroxocobalamin", "mecobalamin", "folic-acid"))


class Constituent(NamedTuple):
    """One of our ingredients in a product."""

    ingredient: str
    recognised_by: str  # code | atc | ndc | words
    multivitamin: bool
    antidote: bool
    strength: Decimal | None  # micrograms in one unit (a tablet, or a millilitre if per_ml)
    per_ml: bool


class Product(NamedTuple):
    """A medicine as far as it is described: by the entry itself, and by a Medication it refers to."""

    concepts: list[CodeableConcept]
    texts: list[str]
    form: CodeableConcept | None
    ingredients: list[Ingredient]


class Described(NamedTuple):
    """A medicine with what was found in its description."""

    product: Product
    constituents: list[Constituent]
    route: str  # that its form or its name allows, or ""


def described(resource: Resource, reading: Reading) -> Described:
    """The medicine of an entry. One that is a code and its words is remembered over calls; a Medication is read once in
    a call, however many entries refer to it."""
    if (name := name_of(resource)) is not None:
        known = reading.recognised.medicines
        return cast(Described, known.get(name) or remember(known, name, describe(resource, reading)))
    concept, reference = medicine_of(resource)
    if concept is not None or reference is None:
        return describe(resource, reading)
    key = id(reading.resolve(reference.reference, resource)), reference.display or ""
    if key not in reading.described:
        reading.described[key] = describe(resource, reading)
    return cast(Described, reading.described[key])  # the record's reader stands below this module, and only keeps it


def name_of(resource: Resource) -> CodeKey | None:
    """All that an entry says of its medicine, where that is one code and its words; None where it is said otherwise."""
    concept, reference = medicine_of(resource)
    if concept is None or reference is not None or not isinstance(concept.coding, list):
        return None
    if len(concept.coding) != 1 or resource.form is not None or listed(resource.ingredient):
        return None
    (coding,) = concept.coding
    return coding.system, coding.code, coding.display, concept.text


def describe(resource: Resource, reading: Reading) -> Described:
    product = product_of(resource, reading)
    found = constituents(product, reading)
    texts_of_form = (*texts(product.form), *product.texts) if found else ()
    return Described(product, found, next(filter(None, map(form_in, texts_of_form)), ""))


def product_of(resource: Resource, reading: Reading) -> Product:
    """The description of the medicine, from wherever it stands."""
    concept, reference = medicine_of(resource)
    found = [] if concept is None else [concept]
    if reference is None:
        if not found and (carried_out := prescription_of(resource, reading)) is not None:
            return product_of(carried_out, reading)
        names = texts(found) or [code[:CUT] for code in codes_in(concept) if WORD.search(code)]
        return Product(found, names, resource.form, listed(resource.ingredient))
    medication = reading.resolve(reference.reference, resource)
    words = [reference.display[:CUT]] if reference.display else []
    if medication is None or medication.resource_type != "Medication":
        return Product(found, texts(found) + words, None, [])
    if has_too_many_parts(medication):
        return Product(found, texts(found) + words, None, [])
    named = medication.code
    found += named if isinstance(named, list) else [] if named is None or isinstance(named, str) else [named]
    names = [each.value[:CUT] for each in listed(medication.identifier) if each.value and not each.value.isdecimal()]
    return Product(found, texts(found) + words + names, medication.form, listed(medication.ingredient))


def has_too_many_parts(medication: Resource) -> bool:
    """Has a Medication more parts than any real one?"""
    codings = [coding for concept in concepts(medication.code) for coding in listed(concept.coding)]
    return max(len(codings), len(listed(medication.ingredient)), len(listed(medication.identifier))) > MOST_PARTS


def codes_in(concept: CodeableConcept | None) -> list[str]:
    """The codes of a concept; some systems write the name where the code belongs."""
    return [each.code for each in listed(concept.coding) if each.code] if concept is not None else []


def prescription_of(resource: Resource, reading: Reading) -> Resource | None:
    """The order that an administration or a supply carries out, where only that names the medicine."""
    for reference in (resource.request, *listed(resource.authorizing_prescription)):
        found = reading.resolve(reference.reference, resource) if reference is not None else None
        if found is not None and found.resource_type == "MedicationRequest":
            return found
    return None


def is_several(product: Product, ingredients: Collection[str], reading: Reading) -> bool:
    """Is it a multivitamin? Where a text names our ingredient with a strength or a form, that is the product, and what
    stands beside it ("Vitamins - B-12, cyanocobalamin and derivatives") is the name of a class."""
    products = [each for each in product.texts if strength_in(each)[0] is not None or form_in(each)]
    named = any(not set(ingredients).isdisjoint(reading.words.find(each, "medicine")) for each in products)
    considered = " / ".join(products if named else product.texts).casefold()
    every = " / ".join(product.texts).casefold()
    many = any(each.count(" / ") >= MANY_PARTS - 1 for each in product.texts)
    return bool(VITAMIN_WORDS.search(considered) or SURELY_SEVERAL.search(every) or many)


def constituents(product: Product, reading: Reading) -> list[Constituent]:
    """Our ingredients in the product; none for most medicines."""
    uses, level = coded(product, reading)
    if not uses:
        uses, level = named_in_words(product, reading), "words"
    if not uses:
        return []
    text = " / ".join(product.texts).casefold()
    several = is_several(product, uses.keys(), reading) or len(product.ingredients) >= MANY_PARTS
    found = []
    for name, marks in uses.items():
        strength, per_ml = strength_of(name, product, reading) if is_dosed(name, reading) else (None, False)
        kit = any(word in text for word in CYANIDE_WORDS) or (strength is not None and strength >= CYANIDE_DOSE)
        found.append(
            Constituent(
                ingredient=name,
                recognised_by=level,
                multivitamin="multivitamin" in marks or (several and name in COMBINED),
                antidote="antidote" in marks or (kit and name == "hydroxocobalamin"),
                strength=strength,
                per_ml=per_ml,
            )
        )
    return found


def is_dosed(name: str, reading: Reading) -> bool:
    """Does the dose of this ingredient decide anything?"""
    return any(name in reading.groups.get(group, ()) for group in DOSED)


def coded(product: Product, reading: Reading) -> tuple[dict[str, set[str]], str]:
    """Ingredient -> the uses of its codes, by the best kind of code that says anything."""
    matches = find_codes(reading.find, product.concepts) or find_bare_ndc(reading.find, product.concepts)
    for ingredient in product.ingredients if not matches else ():
        matches = [*matches, *find_codes(reading.find, ingredient.concept)]
    levels: dict[str, dict[str, set[str]]] = {}
    for use, coding in matches:
        kind, _, name = use.concept.partition("-")
        if kind == "medicine":
            system = canonical_system(coding.system[:200]) if coding.system else ""
            level = LEVELS.get(system, "code") if system else "ndc"  # then its eleven digits told
            levels.setdefault(level, {}).setdefault(name, set()).add(use.use)
    for level in ORDER:
        if level in levels:
            return levels[level], level
    return {}, ""


def named_in_words(product: Product, reading: Reading) -> dict[str, set[str]]:
    """Ingredients named in the texts, the first text that names any; else in the list of ingredients."""
    for text in product.texts:
        names = reading.words.find(text, "medicine")
        if names:
            return {name: set() for name in names}
    found: dict[str, set[str]] = {}
    for text in ingredient_texts(product.ingredients):
        found.update((name, set()) for name in reading.words.find(text, "medicine"))
    return found


def ingredient_texts(ingredients: list[Ingredient]) -> list[str]:
    """What the ingredients of a Medication are called."""
    found = []
    for ingredient in ingredients:
        found += texts(ingredient.concept)
        reference = ingredient.reference
        if reference is not None and reference.display:
            found.append(reference.display[:CUT])
    return found


def strength_of(name: str, product: Product, reading: Reading) -> tuple[Decimal | None, bool]:
    """(micrograms, per millilitre?) of one ingredient: from the ingredient list, else from the product's name."""
    for ingredient in product.ingredients:
        strength = ingredient.strength or ingredient.strength_ratio
        if strength is not None and is_named(name, ingredient, reading):
            amount = micrograms(strength.numerator)
            per = strength.denominator
            if amount is not None:
                size = per.value if per is not None and per.value else Decimal(1)
                return amount / size, per is not None and (per.unit or per.code or "").casefold() == "ml"
    for text in product.texts:
        parts = [part for part in text.split(" / ") if name in reading.words.find(part, "medicine")]
        amount, per_ml = strength_in(parts[0] if parts else text)
        if amount is not None:
            return amount, per_ml
    return None, False


def is_named(name: str, ingredient: Ingredient, reading: Reading) -> bool:
    """Is this entry of the ingredient list the ingredient of that name?"""
    concept = ingredient.concept
    if any(use.concept == f"medicine-{name}" for use, _ in find_codes(reading.find, concept)):
        return True
    return any(name in reading.words.find(text, "medicine") for text in ingredient_texts([ingredient]))


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
    (
        "injection",
        re.compile(
            r"\binje[ck]|\binyec|\binj\b|\bamp(?:s|[ou]u?l[a-z]*)?\b|\bvials?\b|\bsyringe|\binfusion\b|\bauto-?injector"
            r"|\bi\.m\.|\bim\b|\bintra-?muscular"
        ),
    ),
    ("oral", re.compile(r"\btab(?:let)?s?\b|\bcap(?:sule)?s?\b|\boral\b|\blozenge|\bchewable|\bsyrup|\bsachet")),
)


def route_of(dosages: list[Dosage], medicine: Described, reading: Reading) -> str:
    """The route, or "" where nothing says it."""
    for dosage in dosages:
        found = route_of_concept(dosage.route, reading) if dosage.route is not None else ""
        if found:
            return found
    for dosage in dosages:
        found = route_in_words(dosage.text)
        if found:
            return found
    return medicine.route or route_by_unit(dosages)


def route_of_concept(route: CodeableConcept, reading: Reading) -> str:
    """By its code, else by its words; a route that is named but is none of ours is "other"."""
    for use, _ in find_codes(reading.find, route):
        if use.concept.startswith("route-"):
            return use.concept.removeprefix("route-")
    written = texts(route)
    for text in (*written, *[coding.code or "" for coding in listed(route.coding)]):
        found = route_in_words(text)
        if found:
            return found
    return "other" if written else ""


def route_in_words(text: str | None) -> str:
    """The first route that a text names."""
    plain = (text or "")[:1000].lower()
    return next((route for route, pattern in WRITTEN if pattern.search(plain)), "") if plain else ""


def route_by_unit(dosages: list[Dosage]) -> str:
    """What the unit of a dose allows: tablets are swallowed, an injection is given by one of several routes."""
    units = [
        each.dose_quantity.unit or each.dose_quantity.code or ""
        for dosage in dosages
        for each in listed(dosage.dose_and_rate)
        if each.dose_quantity is not None
    ]
    return next(filter(None, map(form_in, units)), "")


def form_in(text: str) -> str:
    """The route that the dose form named in a text allows."""
    plain = text[:CUT].lower()
    return next((route for route, pattern in BY_FORM if pattern.search(plain)), "")
