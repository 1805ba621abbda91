"""The catalogue of damages: how real systems spoil one element of a request. It grows by one line each.

A damage says which resources it is done to and what is done to one of them. Every one of these is done to every
resource for which it changes something, one at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

Json = dict[str, Any]
Change = Callable[[Json], object]

YEAR_1, ZEROS, TPP, JAVA = "0001-01-01T00:00:00", "0000-00-00", "1900-01-01", "0125-11-18"
EPOCH, FAR = "1970-01-01T00:00:00Z", "9999-12-31"
OTHER_FORMS = {"medicationCodeableConcept": "concept", "medicationReference": "reference"}
DATES = {
    "Observation": "effectiveDateTime", "Condition": "recordedDate", "Procedure": "performedDateTime",
    "MedicationRequest": "authoredOn", "MedicationStatement": "dateAsserted",
    "MedicationAdministration": "effectiveDateTime",
}  # fmt: skip


def sets(name: str, value: Any) -> Change:
    """Put a value where another, or none, was."""
    return lambda resource: resource.__setitem__(name, value)


def adds(name: str, value: Any) -> Change:
    """Put a value where none was."""
    return lambda resource: resource.setdefault(name, value)


def drops(name: str) -> Change:
    """Leave a field out."""
    return lambda resource: resource.pop(name, None)


def dated(value: str) -> Change:
    """Put a value where the date of the resource belongs; the day of issue of a result is left as it is."""

    def change(resource: Json) -> None:
        if (name := DATES.get(resource["resourceType"])) and name in resource:
            resource[name] = value

    return change


def as_r5(resource: Json) -> None:
    """The medicine in the shape of FHIR R5."""
    for name, inner in OTHER_FORMS.items():
        if name in resource:
            resource.setdefault("medication", {})[inner] = resource.pop(name)


def of_quantity(change: Change) -> Change:
    """A change of a result's quantity."""
    return lambda resource: change(resource["valueQuantity"]) if "valueQuantity" in resource else None


def with_tail(resource: Json) -> None:
    """The number as an IEEE double of another system writes it."""
    quantity = resource.get("valueQuantity", {})
    if isinstance(quantity.get("value"), int | float):
        quantity["value"] = math.nextafter(quantity["value"], 0)


def written(quantity: Json) -> str:
    """A quantity in words: "<150 ng/L"."""
    return f"{quantity.get('comparator', '')}{quantity.get('value')} {quantity.get('unit', '')}"


def as_text(resource: Json) -> None:
    """The value as a text with a flag."""
    if (quantity := resource.pop("valueQuantity", None)) is not None:
        resource["valueString"] = f"{written(quantity)} (L)"


def in_a_concept(resource: Json) -> None:
    """The value as the text of a concept."""
    if (quantity := resource.pop("valueQuantity", None)) is not None:
        resource["valueCodeableConcept"] = {"text": written(quantity)}


def as_lists(resource: Json) -> None:
    """Every object in a list of one, as some exporters write it."""
    for name, value in resource.items():
        if isinstance(value, dict):
            resource[name] = [value]


def spoiled(resource: Json) -> None:
    """A status that is no text: the entry cannot be read."""
    resource["status" if "status" in resource else "clinicalStatus"] = {"what": 1, "why": [2]}


def plan_reported(resource: Json) -> None:
    """US Core's form of a medicine that the patient reports. An injection that is ordered is another matter."""
    in_force = resource.get("intent") == "order" and resource.get("status") == "active"
    if in_force and "obalamin" not in json.dumps(resource):
        resource |= {"intent": "plan", "reportedBoolean": True}


def no_medicine(resource: Json) -> None:
    """A dosage of nothing. (A draft without either was just opened.)"""
    if is_in_force(resource) and resource.pop("medicationCodeableConcept", None) is not None:
        resource.setdefault("dosageInstruction", [{"text": "one daily"}])


def local_code(resource: Json) -> None:
    """A code of the hospital's own, and no word."""
    if is_in_force(resource):
        resource["medicationCodeableConcept"] = {"coding": [{"system": "urn:x", "code": "7"}]}


def is_in_force(resource: Json) -> bool:
    """What ended is no order any more: nobody is told that it cannot be understood."""
    return resource.get("status") in ("active", "draft")


def name_in_code(resource: Json) -> None:
    """The name of the medicine where its code belongs."""
    if name := resource.get("medicationCodeableConcept", {}).get("text"):
        resource["medicationCodeableConcept"] = {"coding": [{"code": name}]}


def only_refers(reference: str) -> Change:
    """A reference instead of the medicine's name."""

    def change(resource: Json) -> None:
        if is_in_force(resource) and resource.pop("medicationCodeableConcept", None) is not None:
            resource["medicationReference"] = {"reference": reference}
            resource.setdefault("dosageInstruction", [{"text": "one daily"}])

    return change


STATEMENTS = ("MedicationStatement",)
RESULTS, PROBLEMS, OPERATIONS = ("Observation",), ("Condition",), ("Procedure",)
ORDERS, MEDICINES = ("MedicationRequest",), ("MedicationRequest", "MedicationStatement", "MedicationAdministration")
ANY = (*RESULTS, *PROBLEMS, *OPERATIONS, *MEDICINES, "MedicationDispense", "AllergyIntolerance")

DAMAGES: dict[str, tuple[tuple[str, ...], Change]] = {
    "the date is in year 1": (ANY, dated(YEAR_1)),
    "the date is 0000-00-00": (ANY, dated(ZEROS)),
    "the date is 1900-01-01": (ANY, dated(TPP)),
    "the date is the first second of 1970": (ANY, dated(EPOCH)),
    "the year is short of 1900": (ANY, dated(JAVA)),
    "the date is empty": (ANY, dated("")),
    "the date is a word": (ANY, dated("unknown")),
    "an onset in year 1": (PROBLEMS, sets("onsetDateTime", YEAR_1)),
    "an onset in the year 9999": (PROBLEMS, sets("onsetDateTime", FAR)),
    "an end in year 1": (PROBLEMS, sets("abatementDateTime", YEAR_1)),
    "an end that is empty": (PROBLEMS, adds("abatementDateTime", "")),
    "an end in the year 9999": (PROBLEMS, adds("abatementDateTime", FAR)),
    "an end that says ongoing": (PROBLEMS, sets("abatementString", "ongoing")),
    "an end that says N/A": (PROBLEMS, sets("abatementString", "N/A")),
    "an end at the age of 0": (PROBLEMS, sets("abatementAge", {"value": 0, "unit": "a"})),
    "a use that ended in year 1": (STATEMENTS, sets("effectivePeriod", {"start": "2025-01-02", "end": YEAR_1})),
    "dead on 0000-00-00": (("Patient",), sets("deceasedDateTime", ZEROS)),
    "dead on an empty day": (("Patient",), sets("deceasedDateTime", "")),
    "dead in the year 9999": (("Patient",), sets("deceasedDateTime", FAR)),
    "a sex that is empty": (("Patient",), sets("gender", "")),
    "the medicine as R5 writes it": (MEDICINES, as_r5),
    "no medicine is named": (ORDERS, no_medicine),
    "only a local code is named": (ORDERS, local_code),
    "a contained medicine that is missing": (ORDERS, only_refers("#gone")),
    "a Medication that is nowhere": (ORDERS, only_refers("Medication/nowhere")),
    "a plan that is reported": (ORDERS, plan_reported),
    "the name stands in the code": (MEDICINES, name_in_code),
    "a double with a tail": (RESULTS, with_tail),
    "the comparator =": (RESULTS, of_quantity(lambda each: each.setdefault("comparator", "="))),
    "the unit with ^^UCUM": (RESULTS, of_quantity(lambda each: each.update(unit=f"{each.get('unit', '')}^^UCUM"))),
    "no unit": (RESULTS, of_quantity(lambda each: (each.pop("unit", 0), each.pop("code", 0)))),
    "an empty value": (RESULTS, of_quantity(lambda each: each.update(value=""))),
    "the value as a text with a flag": (RESULTS, as_text),
    "the value as the text of a concept": (RESULTS, in_a_concept),
    "objects in lists": (ANY, as_lists),
    "an entry that cannot be read": (ANY, spoiled),
    "a resource without its type": (ANY, drops("resourceType")),
    "an empty status": ((*RESULTS, *MEDICINES), sets("status", "")),
    "a status that says unknown": ((*RESULTS, *MEDICINES), sets("status", "unknown")),
    "a subject that is empty": (ANY, sets("subject", {})),
    "an id that is empty": (ANY, sets("id", "")),
}  # fmt: skip


def foreign(key: str, bundle: Json) -> bool:
    """Every resource of a search is about somebody else."""
    entries = [each for each in bundle.get("entry", []) if "resource" in each]
    for entry in entries:
        entry["resource"]["subject"] = {"reference": "Patient/somebody-else"}
    return bool(entries) and key != "patient"


def more_pages(key: str, bundle: Json) -> bool:
    """A further page that is not read, and the last entry only there."""
    if not bundle.get("entry") or key == "patient":
        return False
    bundle["entry"].pop()
    bundle["link"] = [{"relation": "next", "url": "http://internal:8080/fhir?_getpages=1"}]
    return True


def fewer_than_counted(key: str, bundle: Json) -> bool:
    """The server counted one more than came."""
    if not bundle.get("entry") or key == "patient":
        return False
    bundle["total"] = len(bundle["entry"])
    bundle["entry"].pop()
    return True


def an_error(key: str, bundle: Json) -> bool:
    """An error of the server beside nothing."""
    had = bool(bundle.get("entry"))
    bundle["entry"] = [{"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}}]
    return had and key != "patient"


def no_wrapper(key: str, bundle: Json) -> bool:
    """The resources without `resource` around them."""
    had = bool(bundle.get("entry"))
    bundle["entry"] = [each.get("resource", each) for each in bundle.get("entry", [])]
    return had


SEARCHES: dict[str, Callable[[str, Json], bool]] = {
    "only other people's resources": foreign,
    "a page that is not read": more_pages,
    "fewer than the server counted": fewer_than_counted,
    "an error came instead": an_error,
    "entries without their wrapper": no_wrapper,
}
UNREACHED = "http://127.0.0.1:1/fhir"  # nobody answers there
CALLS: dict[str, Callable[[Json], object]] = {
    "a selection that is not there": lambda call: call["context"].update(selections=["MedicationRequest/not-there"]),
    "a selection with a slash": lambda call: call["context"].update(
        selections=["/" + each for each in call["context"]["selections"]]
    ),
    "no selection": lambda call: call["context"].update(selections=[]),
}


def resources_in(call: Json) -> Iterator[tuple[str, Json]]:
    """Every resource of a call, with the place where it stands."""
    for key, value in [*call.get("prefetch", {}).items(), ("draftOrders", call["context"].get("draftOrders"))]:
        if isinstance(value, dict) and value.get("resourceType") != "Bundle" and "resourceType" in value:
            yield key, value
        for place, entry in enumerate((value or {}).get("entry") or []):
            if isinstance(entry.get("resource"), dict) and "resourceType" in entry["resource"]:
                yield f"{key}.entry.{place}", entry["resource"]


def damages(call: Json) -> Iterator[tuple[str, Callable[[], Json | None]]]:
    """Every damage that can be done once: what and where, and how to make the damaged call (None: nothing changes)."""
    for number, (place, resource) in enumerate(resources_in(call)):
        for name, (types, change) in DAMAGES.items():
            if resource["resourceType"] in types:
                yield f"{name}: {place}", partial(with_resource, call, number, change)
    for key, sent in call.get("prefetch", {}).items():
        for name, spoil in SEARCHES.items():
            if isinstance(sent, dict):
                yield f"{name}: {key}", partial(with_search, call, key, spoil)
        yield f"it is not sent, and the server that has it does not answer: {key}", partial(without, call, key)
    if "selections" in call["context"]:
        for name, change in CALLS.items():
            yield name, partial(with_call, call, change)


def with_resource(call: Json, number: int, change: Change) -> Json | None:
    copy = copied(call)
    change([each for _, each in resources_in(copy)][number])
    return copy if copy != call else None


def with_search(call: Json, key: str, spoil: Callable[[str, Json], bool]) -> Json | None:
    copy = copied(call)
    return copy if spoil(key, copy["prefetch"][key]) else None


def without(call: Json, key: str) -> Json | None:
    """Whatever this key held has to be fetched, and cannot be."""
    copy = copied(call)
    if not (copy["prefetch"].pop(key) or {}).get("entry"):
        return None
    copy["fhirServer"] = UNREACHED
    return copy


def with_call(call: Json, change: Change) -> Json | None:
    copy = copied(call)
    change(copy)
    return copy


def copied(call: Json) -> Json:
    found: Json = json.loads(json.dumps(call))
    return found
