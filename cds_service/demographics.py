"""Which rows move when a patient's sex, birth date, pregnancy, ethnicity or another such element is other, or gone.

Every shipped vignette is asked again with one element of its patient removed, changed or added, as FHIR, through the
whole service. What is found is shipped as data beside the vignettes, and a test compares the data with the program. An
element whose every variation leaves what was read of the record as it was is never read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any
from zlib import crc32

import msgspec

from .cdshooks.client_config import ClientConfig
from .cdshooks.requests import HookRequest, read_request
from .clinical.record import PatientRecord
from .content.content import Content
from .content.files import shipped_folder
from .evaluate import Evaluation, record_without_fetching
from .examples.vignette_fhir import ENCODER, PATIENT, Build, hook_request
from .examples.vignettes import Recollection, Vignette, shipped_vignettes
from .explanation import answer_saved

Json = dict[str, Any]
FILE = "demographics.json"
SUBJECT = {"reference": f"Patient/{PATIENT}"}
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
UK_ETHNIC = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-EthnicCategory"
OMB = "urn:oid:2.16.840.1.113883.6.238"


@dataclass(frozen=True, slots=True)
class Case:
    """A vignette before anything is changed, and what was read of it. `number` follows from its name: by it
    each gets another of several values."""

    vignette: Vignette
    number: int
    record: PatientRecord
    content: Content

    def chosen(self, values: Collection[str]) -> str:
        """One of several values, another for each vignette."""
        return list(values)[self.number % len(values)]


Change = Callable[[Json, Case], None]  # alters the request in place


@dataclass(frozen=True, slots=True)
class Variation:
    """One way in which an element is other than the vignette says."""

    id: str
    words: str
    change: Change


@dataclass(frozen=True, slots=True)
class Element:
    """What may be known of a person beside results and diseases. `attribute` is its number among the source attributes
    of 45 CFR 170.315(b)(11)(iv)(A); 0 for what is not among them."""

    id: str
    title: str
    attribute: int
    variations: tuple[Variation, ...]


# Changes


def with_patient(change: Callable[[Json, Case], None]) -> Change:
    """A change of the Patient resource, where there is one."""

    def changed(request: Json, case: Case) -> None:
        patient = request["prefetch"].get("patient")
        if patient is not None:
            change(patient, case)

    return changed


def without(name: str) -> Change:
    """The Patient without one of its fields."""
    return with_patient(lambda patient, _: patient.pop(name, None) and None)


def stated(**fields: Any) -> Change:
    """The Patient with these fields."""
    return with_patient(lambda patient, _: patient.update(fields))


def aged(years: int) -> Change:
    """The Patient born so many years before the day of the vignette."""
    return with_patient(lambda patient, case: patient.update(birthDate=f"{case.vignette.as_of.year - years}-01-01"))


def year_only(patient: Json, _: Case) -> None:
    if "birthDate" in patient:
        patient["birthDate"] = patient["birthDate"][:4]


def extended(url: str, values: Mapping[str, str], system: str) -> Change:
    """The Patient with an extension of US Core that holds one of these codes and their words."""

    def change(patient: Json, case: Case) -> None:
        code = case.chosen(values)
        coding = {"system": system, "code": code, "display": values[code]}
        parts = [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": values[code]}]
        patient.setdefault("extension", []).append({"url": US_CORE + url, "extension": parts})

    return with_patient(change)


def extended_simply(url: str, values: Mapping[str, str], system: str) -> Change:
    """The same where the extension is one CodeableConcept."""

    def change(patient: Json, case: Case) -> None:
        code = case.chosen(values)
        concept = {"coding": [{"system": system, "code": code, "display": values[code]}], "text": values[code]}
        patient.setdefault("extension", []).append({"url": url, "valueCodeableConcept": concept})

    return with_patient(change)


def spoken(patient: Json, case: Case) -> None:
    languages = {"bn": "Bengali", "es": "Spanish", "pa": "Punjabi", "so": "Somali", "zh": "Chinese"}
    code = case.chosen(languages)
    coding = {"system": "urn:ietf:bcp:47", "code": code, "display": languages[code]}
    patient["communication"] = [{"language": {"coding": [coding], "text": languages[code]}, "preferred": True}]


def observed(values: Mapping[str, str], code: str, title: str, system: str = "http://loinc.org") -> Change:
    """An Observation in which one of these words is recorded, among those that are sent for status."""

    def change(request: Json, case: Case) -> None:
        value = case.chosen(values)
        add(request, "status", {
            "resourceType": "Observation", "id": "added", "status": "final", "subject": SUBJECT,
            "category": [{"coding": [{"code": "social-history"}]}],
            "code": {"coding": [{"system": system, "code": code, "display": title}], "text": title},
            "effectiveDateTime": str(case.vignette.as_of),
            "valueCodeableConcept": {"coding": [{"code": value, "display": values[value]}], "text": values[value]},
        })  # fmt: skip

    return change


def diagnosed(codes: Mapping[str, str]) -> Change:
    """An active Condition with one of these SNOMED CT codes."""

    def change(request: Json, case: Case) -> None:
        code = case.chosen(codes)
        add(request, "conditions", {
            "resourceType": "Condition", "id": "added", "subject": SUBJECT,
            "clinicalStatus": {"coding": [{"code": "active"}]}, "recordedDate": str(case.vignette.as_of),
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": codes[code]}]},
        })  # fmt: skip

    return change


def recorded(concept: str, text: str, request: Json, case: Case) -> None:
    """An active Condition of one of our own concepts, of last month; in words, where no code stands for it."""
    entry = {"concept": concept, "days_ago": 30, "id": "added"} | ({"text": text} if text else {})
    add(request, "conditions", Build(case.vignette, case.content).problem(entry))


def unrecorded(concepts: frozenset[str], request: Json, case: Case) -> None:
    """The request without everything that was read as one of these concepts."""
    gone = {each.reference for each in case.record.problems if each.concept in concepts}
    for bundle in (each for each in request["prefetch"].values() if each.get("resourceType") == "Bundle"):
        entries = bundle.get("entry", [])
        kept = [each for each in entries if reference_of(each["resource"]) not in gone]
        if len(kept) < len(entries):
            bundle["total"] = len(kept)
            bundle["entry"] = kept
            if not kept:
                del bundle["entry"]


def reference_of(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def add(request: Json, key: str, resource: Json) -> None:
    """One more resource under a key that was sent; where it could not be had it is not known either."""
    bundle = request["prefetch"].get(key)
    if bundle is not None:
        bundle.setdefault("entry", []).append({"resource": resource, "search": {"mode": "match"}})
        bundle["total"] = len(bundle["entry"])


def concept(name: str, words: str, *also: str, text: str = "") -> tuple[Variation, Variation]:
    """A concept of ours recorded, and removed with what else counts as the same. `text`: it is recorded in words."""
    return (
        Variation("removed", f"{words}: removed", partial(unrecorded, frozenset((name, *also)))),
        Variation("recorded", f"{words}: recorded", partial(recorded, name, text)),
    )


def all_at_once(*changes: Change) -> Change:
    def changed(request: Json, case: Case) -> None:
        for change in changes:
            change(request, case)

    return changed


RACES = {"1002-5": "American Indian or Alaska Native", "2028-9": "Asian", "2054-5": "Black or African American",
         "2076-8": "Native Hawaiian or Other Pacific Islander", "2106-3": "White"}  # fmt: skip
ETHNICITIES = {"2135-2": "Hispanic or Latino", "2186-5": "Not Hispanic or Latino"}
UK_ETHNICITIES = {"A": "British", "H": "Indian", "M": "Caribbean", "N": "African", "R": "Chinese"}
IDENTITIES = {"446141000124107": "Identifies as female gender", "446151000124109": "Identifies as male gender",
              "33791000087105": "Identifies as nonbinary gender"}  # fmt: skip
ORIENTATIONS = {"38628009": "Homosexual", "20430005": "Heterosexual", "42035005": "Bisexual"}
HARDSHIPS = {"733423003": "Food insecurity", "32911000": "Homeless", "73438004": "Unemployed"}
SMOKING = {"449868002": "Smokes tobacco daily", "266919005": "Never smoked tobacco"}
DISABILITIES = {"LA33-6": "Yes", "LA32-8": "No"}
ADDRESS = [{"line": ["1 Example Street"], "city": "Exampleton", "postalCode": "EX1 1EX"}]
ELEMENTS = (
    Element("race", "Race", 5, (
        Variation("recorded", "each of five categories", extended("us-core-race", RACES, OMB)),
    )),
    Element("ethnicity", "Ethnicity", 6, (
        Variation("recorded", "US: each of two categories", extended("us-core-ethnicity", ETHNICITIES, OMB)),
        Variation("recorded-uk", "UK: each of five categories", extended_simply(
            UK_ETHNIC, UK_ETHNICITIES, "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategoryEngland")),
        Variation("observed", "as an Observation", observed(RACES, "364699009", "Ethnic group",
                                                            "http://snomed.info/sct")),
    )),
    Element("language", "Language", 7, (
        Variation("recorded", "each of five languages", with_patient(spoken)),
    )),
    Element("sexual-orientation", "Sexual orientation", 8, (
        Variation("observed", "each of three", observed(ORIENTATIONS, "76690-7", "Sexual orientation")),
    )),
    Element("gender-identity", "Gender identity", 9, (
        Variation("recorded", "in the Patient and as an Observation", all_at_once(
            extended("us-core-genderIdentity", IDENTITIES, "http://snomed.info/sct"),
            observed(IDENTITIES, "76691-5", "Gender identity"))),
    )),
    Element("sex", "Sex", 10, (
        Variation("removed", "not recorded", without("gender")),
        Variation("other", "recorded as other", stated(gender="other")),
        Variation("male", "recorded as male", stated(gender="male")),
        Variation("female", "recorded as female", stated(gender="female")),
    )),
    Element("date-of-birth", "Date of birth", 11, (
        Variation("removed", "not recorded", without("birthDate")),
        Variation("year", "the year alone", with_patient(year_only)),
        Variation("age-15", "15 years old", aged(15)),
        Variation("age-30", "30 years old", aged(30)),
        Variation("age-90", "90 years old", aged(90)),
    )),
    Element("social", "Social determinants: hardship", 12, (
        Variation("recorded", "food insecurity, homeless, unemployed", diagnosed(HARDSHIPS)),
    )),
    Element("diet", "Diet", 12, concept("vegan", "vegan diet", "vegetarian", "diet-poor")),
    Element("pregnancy", "Pregnancy", 13, concept("pregnancy", "pregnancy")),
    Element("pregnancy-planned", "Pregnancy planned", 13, concept(
        "pregnancy-planned", "planned pregnancy", text="Planning pregnancy")),
    Element("breastfeeding", "Breastfeeding", 13, concept("breastfeeding", "breastfeeding")),
    Element("alcohol", "Alcohol", 13, concept("alcohol", "alcohol dependence or misuse")),
    Element("nitrous-oxide", "Nitrous oxide and inhalants", 13, concept(
        "nitrous-oxide", "nitrous oxide used", "inhalant-misuse")),
    Element("cognition", "Cognition", 13, concept(
        "cognitive-impairment", "cognitive impairment", "dementia", "memory-impairment", "b12-cognitive")),
    Element("other-assessments", "Smoking and disability", 13, (
        Variation("smoking", "smoking status", observed(SMOKING, "72166-2", "Tobacco smoking status")),
        Variation("disability", "serious difficulty walking", observed(
            DISABILITIES, "69859-7", "Do you have serious difficulty walking or climbing stairs")),
    )),
    Element("names", "Name, address, marital status, religion", 0, (
        Variation("recorded", "each recorded", all_at_once(
            stated(name=[{"family": "Example", "given": ["Eve"]}], address=ADDRESS,
                   telecom=[{"system": "phone", "value": "01632 960000"}],
                   maritalStatus={"coding": [{"code": "M"}]}),
            extended_simply("http://hl7.org/fhir/StructureDefinition/patient-religion", {"1013": "Christian"},
                            "http://terminology.hl7.org/CodeSystem/v3-ReligiousAffiliation"))),
    )),
)  # fmt: skip


# What moves


class Move(msgspec.Struct, frozen=True):
    """What a clinician sees otherwise: rows, notes and suggested orders (kind:id) that went and came, and the label
    before and after."""

    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    orders_lost: tuple[str, ...] = ()
    orders_gained: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True):
    """The vignettes ("uk-ng239/21-leber") in which the same moves."""

    move: Move
    vignettes: tuple[str, ...]


class Outcome(msgspec.Struct, frozen=True):
    """One variation: how many vignettes could be changed so, in how many of them anything else was read, what moves,
    and which findings come or go."""

    asked: int
    read: int
    groups: tuple[Group, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def moved(self) -> int:
        """In how many vignettes a clinician sees something else."""
        return sum(len(each.vignettes) for each in self.groups)

    def rows(self) -> dict[str, tuple[int, int]]:
        """Each row that moves: in how many vignettes it is lost, and gained."""
        lost: Counter[str] = Counter()
        gained: Counter[str] = Counter()
        for each in self.groups:
            lost.update(dict.fromkeys(each.move.lost, len(each.vignettes)))
            gained.update(dict.fromkeys(each.move.gained, len(each.vignettes)))
        return {name: (lost[name], gained[name]) for name in sorted({*lost, *gained})}


class Demographics(msgspec.Struct, frozen=True):
    """What was found: element -> variation -> outcome; over how many vignettes, by which content and service."""

    content: str
    service: str
    vignettes: int
    left_out: tuple[str, ...]  # vignettes of an example site, whose numbers are its own
    outcomes: dict[str, dict[str, Outcome]]


def shipped_demographics() -> Demographics:
    """What is shipped."""
    path = shipped_folder("fixtures", holding=FILE) / FILE
    return msgspec.json.decode(path.read_bytes(), type=Demographics)


def as_file(found: Demographics) -> bytes:
    """The data as they are shipped, a line for each group, so that two versions can be compared."""
    text = msgspec.json.encode(found)
    return text.replace(b'{"move"', b'\n{"move"').replace(b'{"asked"', b'\n{"asked"') + b"\n"


Wanted = Callable[[str, str, str], bool]  # is this vignette, element and variation to be tried?


def everything(vignette: str, element: str, variation: str) -> bool:
    """All are tried."""
    return True


def computed(configured: Callable[[str], ClientConfig], service: str, wanted: Wanted = everything) -> Demographics:
    """Ask every shipped vignette in every variation that is wanted. `configured` gives what a client gets under a
    pathway, `service` is its version."""
    vignettes = shipped_vignettes()
    asked = {name: each for name, each in vignettes.items() if not each.overlay}
    found: dict[tuple[str, str], list[Varied]] = {}
    for each in moved(asked, configured, wanted):
        found.setdefault((each.element, each.variation), []).append(each)
    outcomes: dict[str, dict[str, Outcome]] = {}
    for element, variation in every_variation():
        outcomes.setdefault(element.id, {})[variation.id] = outcome_of(found.get((element.id, variation.id), []))
    content = configured(next(iter(asked.values())).pathway).content.version
    left_out = tuple(name for name, each in vignettes.items() if each.overlay)
    return Demographics(content, service, len(asked), left_out, outcomes)


@dataclass(frozen=True, slots=True)
class Varied:
    """One vignette in one variation; `move` None where all that was read is as before. `findings`: those that come or
    go."""

    vignette: str
    element: str
    variation: str
    move: Move | None
    findings: frozenset[str] = frozenset()


def outcome_of(varied: list[Varied]) -> Outcome:
    """The vignettes of one variation, those in which the same moves together."""
    groups: dict[Move, list[str]] = {}
    for each in varied:
        if each.move is not None and each.move != Move():
            groups.setdefault(each.move, []).append(each.vignette)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[1]))
    return Outcome(
        len(varied),
        sum(each.move is not None for each in varied),
        tuple(Group(move, tuple(names)) for move, names in ordered),
        in_order(frozenset[str]().union(*(each.findings for each in varied))),
    )


def moved(
    vignettes: Mapping[str, Vignette], configured: Callable[[str], ClientConfig], wanted: Wanted
) -> Iterator[Varied]:
    """Every vignette in every variation that is wanted and changes anything of its request."""
    for name, vignette in vignettes.items():
        variations = [each for each in every_variation() if wanted(name, each[0].id, each[1].id)]
        if not variations:
            continue
        config = configured(vignette.pathway)
        plain = ENCODER.encode(hook_request(vignette, config.content))
        request = read_request(plain, vignette.hook)
        record = record_without_fetching(request, config, vignette.as_of)
        case = Case(vignette, crc32(name.encode()), record, config.content)
        before = answered(request, vignette, config)
        for element, variation in variations:
            told = json.loads(plain, parse_float=Decimal)
            variation.change(told, case)
            body = ENCODER.encode(told)
            if body != plain:
                move, findings = moves(before, read_request(body, vignette.hook), case, config)
                yield Varied(name, element.id, variation.id, move, findings)


def every_variation() -> Iterator[tuple[Element, Variation]]:
    """Each element in each variation."""
    return ((element, variation) for element in ELEMENTS for variation in element.variations)


def moves(
    before: Evaluation, request: HookRequest, case: Case, config: ClientConfig
) -> tuple[Move | None, frozenset[str]]:
    """What moves with this request; None where what is read is as before, and so is the answer."""
    vignette = case.vignette
    if record_without_fetching(request, config, vignette.as_of) == case.record:
        return None, frozenset()
    after = answered(request, vignette, config)
    return difference(before, after), frozenset(before.decision.findings.keys() ^ after.decision.findings.keys())


def answered(request: HookRequest, vignette: Vignette, config: ClientConfig) -> Evaluation:
    """The answer about the vignette's patient, as to its reader."""
    return answer_saved(request, config, vignette.as_of, history=Recollection(vignette) or None)


def difference(before: Evaluation, after: Evaluation) -> Move:
    """What came and what went."""
    rows = rows_of(before), rows_of(after)
    orders = orders_of(before), orders_of(after)
    labels = (before.decision.label, after.decision.label)
    return Move(
        in_order(rows[0] - rows[1]),
        in_order(rows[1] - rows[0]),
        in_order(orders[0] - orders[1]),
        in_order(orders[1] - orders[0]),
        labels if labels[0] != labels[1] else (),
    )


def in_order(names: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def rows_of(found: Evaluation) -> set[str]:
    """The rows that hold, and the notes on their cards ("notes/ethnicity"), those for which there is no room too."""
    paragraphs = (one for each in found.decision.advice for one in (*each.paragraphs, *each.left_out))
    return {*found.decision.rows, *(each.note for each in paragraphs if each.note)}


def orders_of(found: Evaluation) -> set[str]:
    """The suggested orders: "medicine:hydroxocobalamin-neuro"."""
    return {f"{one.kind}:{one.id}" for each in found.decision.advice for one in each.drafts}
