"""Laboratory results and medicines read and counted, as far as the server allows: codes, units, what is not mapped.

The search is over everybody, else patient by patient, bounded in pages, number and time; what was not read is said. The
reading of the service decides what is recognised, so that what is counted here is what a call would see. A test that is
not mapped is suspected by its name, for a person to confirm and never to classify.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from ..cdshooks.client_config import ClientConfig
from ..clinical.record import Results
from ..clinical.tables import normalise_unit
from ..content.codes import canonical_system
from ..content.words import Words
from ..fetching import FetchFailed
from ..fhir.bundles import UnreadableError, decode
from ..fhir.concepts import Concept, concepts, find_codes, texts
from ..fhir.dates import Calendar
from ..fhir.gather import Gathered
from ..fhir.index import ResourceIndex, can_be_fetched, medication_to_look_up, sort
from ..fhir.labs import ANOTHER, B12, LONGEST_NAME, NOT_B12, OUTCOMES, names_in, test_in
from ..fhir.observations import has_value
from ..fhir.products import Product, constituents, product_of
from ..fhir.reader import READERS
from ..fhir.reading import Reading
from ..fhir.resources import Coding, Component, Quantity, Resource, listed
from ..fhir.values import LONGEST_UNIT, WRITTEN, amount_of
from .fhir_server import Privacy, Reply, Server
from .trials import query_of, subjects, without_patient

QUALITATIVE = re.compile(r"\bql\b|\bqualitative\b|\bpresence\b|\bscreen")  # no number comes of it


def suspected(text: str, words: Words) -> str:
    """The one analyte that a name suggests, or ""."""
    plain = text[:LONGEST_NAME].casefold()
    if ANOTHER.search(plain):
        return ""
    names = words.find(text[:LONGEST_NAME], "analyte") or names_in(plain)
    if len(names) != 1 or (names[0] == B12 and NOT_B12.search(plain)):
        return ""
    return "" if names[0] not in OUTCOMES and QUALITATIVE.search(plain) else names[0]


LONGEST = 300  # characters of a code or system that are used
DIFFERENT = 20_000  # codes and units that are counted apart
TEXTUAL = "(text)"
SHARE = "%"


class Code(NamedTuple):
    """A coding as the server sends it; `display` may be the concept's text."""

    system: str
    code: str
    display: str

    @property
    def known_system(self) -> str:
        """The code system that we know, or "" for a local one."""
        return canonical_system(self.system)


class CodeInUnit(NamedTuple):
    """A code in a unit. `family` is "" where the unit is not accepted, and `doubt` says why."""

    code: Code
    unit: str  # in words, as sent
    unit_code: str  # the code of the unit, where it is another text
    family: str
    doubt: str


@dataclass(slots=True)
class LabTally:
    """What was counted. The keys of `mapped` and `suspected` are analytes."""

    mapped: dict[str, Counter[CodeInUnit]] = field(default_factory=dict)
    suspected: dict[str, Counter[CodeInUnit]] = field(default_factory=dict)
    others: Counter[tuple[Code, str]] = field(default_factory=Counter)  # code and unit of what is none of ours
    uncoded: Counter[str] = field(default_factory=Counter)  # analyte named in words -> results without any code
    textual: Counter[str] = field(default_factory=Counter)  # the same -> results that are words instead of a number
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
            return
        if test is not None:
            coding = next(each for use, each in matches if use.concept == f"lab-{test.analyte.id}")
            seen = self._seen(Code(*identified(coding, code)), source, test.analyte.id, reading)
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
        if analyte and analyte not in OUTCOMES and unit_text(source) == TEXTUAL:
            self.textual[analyte] += 1
        elif not codes:
            if analyte:
                self.uncoded[analyte] += 1
        elif analyte:
            seen = self._seen(codes[0], source, analyte, reading)
            count(self.suspected.setdefault(analyte, Counter()), seen)
        else:
            count(self.others, (codes[0], unit_text(source)))

    def _seen(self, code: Code, source: Resource | Component, analyte: str, reading: Reading) -> CodeInUnit:
        _, _, _, unit, doubt = amount_of(source, reading.analytes[analyte], reading)
        text = unit_text(source)
        return CodeInUnit(code, text, unit_code(source, text), unit.family if unit else "", doubt)


def count(counter: Counter[Counted], key: Counted) -> None:
    """One more, unless there are so many different ones that counting them apart serves nobody."""
    if key in counter or len(counter) < DIFFERENT:
        counter[key] += 1


def identified(coding: Coding, concept: Concept) -> tuple[str, str, str]:
    """System, code, and the name given with the code."""
    display = coding.display or next((each.text for each in concepts(concept) if each.text), "") or ""
    return (coding.system or "")[:LONGEST], (coding.code or "")[:LONGEST], display[:LONGEST]


def codings_of(concept: Concept) -> list[Code]:
    """The codings that have a code; a hospital's own first, for that is the one that its results will always have."""
    found = [Code(*identified(each, concept)) for one in concepts(concept) for each in listed(one.coding) if each.code]
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


def families_of(seen: Iterable[CodeInUnit]) -> frozenset[str]:
    """The families of the accepted units among these."""
    return frozenset(each.family for each in seen if each.family)


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
        found = constituents(product, reading)
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
                return [Code(*identified(coding, concept))]
    for part in product.ingredients or ():
        for use, coding in find_codes(reading.find, part.concept):
            if use.concept == f"medicine-{ingredient}":
                return [Code(*identified(coding, part.concept))]
    return []


LOOKED_UP = 50  # Medications that entries only refer to
PATIENT = "patient="
Take = Callable[[Resource], None]
Counted = TypeVar("Counted")


@dataclass(frozen=True, slots=True)
class Search:
    """One search of the survey, in words, and how far it was read."""

    what: str
    over: str  # "everybody" | "the patients tried"
    found: int
    failure: str = ""  # why there is nothing, or not for all patients
    cut: str = ""


class Survey:
    """What was read and counted so far."""

    def __init__(self, server: Server, service: ClientConfig, today: date, patients: tuple[str, ...]):
        self._server, self._patients = server, patients
        self._index = ResourceIndex("")
        calendar = Calendar(service.zone, today)
        self._reading = Reading(service.content, service.pathway, calendar, self._index.find)
        self._counted: set[tuple[str | None, str]] = set()
        self.labs, self.medicines = LabTally(), MedicineTally()
        self.searches: list[Search] = []
        self.dropped: Counter[tuple[str, str]] = Counter()  # resource type or test, and why a call would not use it
        self.usable: Counter[str] = Counter()  # by analyte: results that a call would judge
        self.used_medicines = 0  # entries about medicines that a call would use
        self._reader = Reading(service.content, service.pathway, calendar, self._index.find)
        self.unreadable = 0
        self.privacy = Privacy()
        self.privacy.add(patients)

    @property
    def other_offset(self) -> bool:
        """Did a time come with an offset from UTC, where the days are those of UTC?"""
        return self._reader.calendar.met_offset

    def laboratory(self, published: Mapping[str, str]) -> None:
        """The category, then everything without a category, then our codes: the same result counts once."""
        self._search("laboratory results", "Observation?category=laboratory&_count=200", self._observation)
        self._search("all observations", "Observation?_count=200", self._observation)
        for key in ("b12", "bloodCount", "chemistry"):
            self._search(f"our codes, {key}", without_patient(published[key]), self._observation, published[key])

    def gathered(self, found: Iterable[Gathered]) -> None:
        """What the calls for the patients tried have found already."""
        for each in found:
            for resource in each.included:
                self._index.include("", resource)
            for resource in each.resources:
                if resource.resource_type == "Observation":
                    self._once(resource, self._observation)
                elif resource.resource_type in KINDS:
                    self._once(resource, self._keep)
                elif resource.resource_type in READERS:
                    self._once(resource, self._read)

    def all_medicines(self) -> None:
        """Every kind of entry that names a medicine. One after the other: entries share Medications."""
        for kind in KINDS:
            self._search(kind, f"{kind}?_count=200", self._keep)
        self._look_up()
        for resource in self._index.resources:
            self._guarded(self._medicine, resource)

    def _search(self, what: str, query: str, take: Take, template: str = "") -> None:
        """Over everybody; where that is refused or finds nothing, for each of the patients."""
        reply = self._server.read(query)
        found = self._take(reply, query, take)
        if found or not self._patients:
            self.searches.append(Search(what, "everybody", found, reply.failure, reply.cut))
            return
        replies = [self._server.read(each) for each in self._by_patient(query, template)]
        found = sum(self._take(each, query, take) for each in replies)
        failure, cut = ("; ".join(dict.fromkeys(filter(None, said))) for said in self._said(replies))
        self.searches.append(Search(what, "the patients tried", found, failure, cut))

    def _by_patient(self, query: str, template: str) -> list[str]:
        if template:
            return [query_of(template, patient) for patient in self._patients]
        kind, _, rest = query.partition("?")
        return [f"{kind}?{PATIENT}{quote(patient, safe='')}&{rest}" for patient in self._patients]

    def _said(self, replies: Iterable[Reply]) -> tuple[list[str], list[str]]:
        replies = list(replies)
        return [each.failure for each in replies], [each.cut for each in replies]

    def _take(self, reply: Reply, query: str, take: Take) -> int:
        """Take each resource of the type that was asked for; how many there were."""
        kind = query.partition("?")[0]
        for page in reply.pages:
            for entry in page.included:
                if entry.resource is not None:
                    self._index.include(entry.full_url or "", entry.resource)
        found = [each for each in reply.resources if each.resource_type == kind]
        self.privacy.add(subjects(found))
        for resource in found:
            self._once(resource, take)
        return len(found)

    def _once(self, resource: Resource, take: Take) -> None:
        """The same resource may come with several searches."""
        key = (resource.resource_type, resource.id or f"#{len(self._counted)}")
        if key not in self._counted:
            self._counted.add(key)
            self._guarded(take, resource)

    def _guarded(self, take: Take, resource: Resource) -> None:
        try:
            take(resource)
        except (ValueError, ArithmeticError):  # as in fhir.reader: data that no reader foresaw
            self.unreadable += 1

    def _observation(self, resource: Resource) -> None:
        self.labs.add(resource, self._reading)
        self._read(resource)

    def _medicine(self, resource: Resource) -> None:
        self.medicines.add(resource, self._reading)
        self._read(resource)

    def _read(self, resource: Resource) -> None:
        """Read it as a call does, and count what the call would leave out, and why."""
        reader = self._reader
        READERS[resource.resource_type](resource, reader)
        self.dropped.update((resource.resource_type, each.reason) for each in reader.ignored)
        for lab in Results(reader.labs):
            if lab.doubt:
                self.dropped[lab.analyte, lab.doubt] += 1
            else:
                self.usable[lab.analyte] += 1
        self.used_medicines += len(reader.medications)
        for found in (reader.labs, reader.lab_sources, reader.medications, reader.problems, reader.allergies):
            found.clear()
        for more in (reader.orders, reader.ignored, reader.unmapped):
            more.clear()

    def _keep(self, resource: Resource) -> None:
        self._index.resources.append(resource)

    def _look_up(self) -> None:
        """Medications that an entry only refers to, some of them."""
        missing = dict.fromkeys(medication_to_look_up(each, self._index) for each in self._index.resources)
        wanted = [reference for reference in missing if reference and can_be_fetched(reference)][:LOOKED_UP]
        for reference in wanted:
            try:
                page = sort(decode(self._server.raw(reference)))
            except (FetchFailed, UnreadableError):
                continue
            for entry in page.own:
                if entry.resource is not None and entry.resource.resource_type == "Medication":
                    self._index.include(reference, entry.resource)
