"""Medicines counted: under which codes each of our ingredients comes, and which are known by their name only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..fhir.reading.products import Product, contents, product_of
from ..fhir.reading.reading import Reading
from ..fhir.reading.recognise import find_codes
from ..fhir.resources import Resource, listed
from .labs import Code, codings_of, count, named

KINDS = ("MedicationRequest", "MedicationStatement", "MedicationAdministration", "MedicationDispense")


@dataclass(slots=True)
class MedicineTally:
    """What was counted. `by_code` and `by_words`: ingredient -> its codes."""

    by_code: dict[str, Counter[Code]] = field(default_factory=dict)
    by_words: dict[str, Counter[Code]] = field(default_factory=dict)
    uses: dict[tuple[str, Code], str] = field(default_factory=dict)  # "multivitamin" or "antidote", if it is one
    uncoded: Counter[str] = field(default_factory=Counter)  # ingredient -> entries with a name and no code
    others: Counter[Code] = field(default_factory=Counter)
    nameless: int = 0  # neither a code nor a name of any kind
    entries: int = 0

    def add(self, resource: Resource, reading: Reading) -> None:
        """One order, statement, administration or dispense."""
        self.entries += 1
        product = product_of(resource, reading)
        found = contents(product, reading)
        codes = [code for concept in product.concepts for code in codings_of(concept)]
        if not found:
            self._other(product, codes)
        for content in found:
            if content.recognised_by == "words":
                use = "multivitamin" if content.multivitamin else "antidote" if content.antidote else ""
                self._by_words(content.ingredient, codes, use)
            else:
                for code in coded(product, content.ingredient, reading) or codes[:1]:
                    count(self.by_code.setdefault(content.ingredient, Counter()), code)

    def _other(self, product: Product, codes: list[Code]) -> None:
        if codes:
            count(self.others, codes[0])
        elif not product.texts and not product.ingredients:
            self.nameless += 1

    def _by_words(self, ingredient: str, codes: list[Code], use: str) -> None:
        if codes:
            count(self.by_words.setdefault(ingredient, Counter()), codes[0])
            self.uses[ingredient, codes[0]] = use
        else:
            self.uncoded[ingredient] += 1


def coded(product: Product, ingredient: str, reading: Reading) -> list[Code]:
    """The first coding that says so, as a list; none where only a list of ingredients says it, or the digits of an
    NDC."""
    for concept in product.concepts:
        for use, coding in find_codes(reading.find, concept):
            if use.concept == f"medicine-{ingredient}":
                return [Code(*named(coding, concept))]
    for part in listed(product.ingredients):
        for use, coding in find_codes(reading.find, part.item_codeable_concept):
            if use.concept == f"medicine-{ingredient}":
                return [Code(*named(coding, part.item_codeable_concept))]
    return []
