"""The orders that cards suggest: one template per orderable and regimen, built and validated when the content loads.

Built with `fhir.resources.R4B`, which is loaded only then. It does not check required code bindings, so the codes
that we write are checked against our own lists (FHIR R4: request-status, request-intent, units-of-time). Per call
only the patient, the id and the day are filled in; the rest of a template is shared between calls and not changed.
A clinician's own draft that gets another medicine and dosage is patched as it was received, never rebuilt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from ..clinical.tables import FollowUp, Orderable, Pathway, Phase, Regimen
from ..content.content import Content
from ..content.faults import ContentError
from .echo import valid_order

UCUM = "http://unitsofmeasure.org"
STATUS = "draft"
INTENT = "proposal"
REQUEST_STATUS = ("draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown")
REQUEST_INTENT = (
    "proposal", "plan", "directive", "order", "original-order", "reflex-order", "filler-order", "instance-order",
    "option",
)  # fmt: skip
MEDICATION_STATUS = (
    "active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft", "unknown",
)  # fmt: skip
MEDICATION_INTENT = (
    "proposal", "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order", "option",
)  # fmt: skip
UNITS_OF_TIME = {"s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year"}
DOSE_UNITS = {"mg": "mg", "microgram": "ug"}  # our word -> UCUM code
DEFICIENCY_CODING = ("http://snomed.info/sct", "190634004", "Vitamin B12 deficiency")
SOMEONE = "Patient/template"  # stands where each call puts the patient
SOME_DAY = "2000-01-01"

Json = dict[str, Any]


class Drafts:
    """Ready templates by orderable and regimen. What is returned may be sent, and must not be changed in place."""

    __slots__ = ("_follow_ups", "_medicines", "_tests")

    def __init__(self, tests: dict[str, Json], medicines: dict[str, Json], follow_ups: dict[str, Json] | None = None):
        self._tests, self._medicines, self._follow_ups = tests, medicines, follow_ups or {}

    def test(self, orderable_id: str, patient_ref: str, draft_id: str, today: date) -> Json:
        """A draft ServiceRequest of that orderable for this patient ("Patient/p1")."""
        return filled(self._tests[orderable_id], patient_ref, draft_id, today)

    def medicine(self, regimen_id: str, patient_ref: str, draft_id: str, today: date) -> Json:
        """A draft MedicationRequest of that regimen for this patient ("Patient/p1")."""
        return filled(self._medicines[regimen_id], patient_ref, draft_id, today)

    def follow_up(self, follow_up: FollowUp, patient_ref: str, draft_id: str, today: date) -> Json:
        """A draft ServiceRequest for the day on which the follow-up is due."""
        template = self._follow_ups[follow_up.id]
        return filled(template, patient_ref, draft_id, today) | {"occurrenceDateTime": follow_up.day(today).isoformat()}


def problem(patient_ref: str, cause: str, today: date) -> Json:
    """Vitamin B12 deficiency for the problem list, provisional until it is signed."""
    systems = "http://terminology.hl7.org/CodeSystem/condition-"
    found: Json = {
        "resourceType": "Condition",
        "id": "template",
        "clinicalStatus": {"coding": [{"system": f"{systems}clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": f"{systems}ver-status", "code": "provisional"}]},
        "category": [{"coding": [{"system": f"{systems}category", "code": "problem-list-item"}]}],
        "code": {"coding": [coding(DEFICIENCY_CODING)], "text": DEFICIENCY_CODING[2]},
        "subject": {"reference": patient_ref},
        "recordedDate": today.isoformat(),
    }
    return found | ({"note": [{"text": cause}]} if cause else {})


def as_task(request: Json) -> Json:
    """A later order as a Task, for sites that follow up by tasks."""
    return {
        "resourceType": "Task",
        "id": request["id"],
        "status": STATUS,
        "intent": INTENT,
        "code": request["code"],
        "for": request["subject"],
        "authoredOn": request["authoredOn"],
        "restriction": {"period": {"start": request["occurrenceDateTime"]}},
    }


def as_care_plan(requests: list[Json]) -> Json:
    """Later orders as one CarePlan, for sites that follow up by plans."""
    details = [
        {"kind": "ServiceRequest", "code": each["code"], "status": "not-started",
         "scheduledPeriod": {"start": each["occurrenceDateTime"]}}
        for each in requests
    ]  # fmt: skip
    first = requests[0]
    return {
        "resourceType": "CarePlan",
        "id": first["id"],
        "status": STATUS,
        "intent": INTENT,
        "subject": first["subject"],
        "created": first["authoredOn"],
        "activity": [{"detail": each} for each in details],
    }


def filled(template: Json, patient_ref: str, draft_id: str, today: date) -> Json:
    return template | {"id": draft_id, "subject": {"reference": patient_ref}, "authoredOn": today.isoformat()}


def build_drafts(content: Content, pathway: Pathway) -> Drafts:
    """Every template of a pathway. Raises ContentError naming each one that is not valid FHIR."""
    from fhir.resources.R4B.medicationrequest import MedicationRequest
    from fhir.resources.R4B.servicerequest import ServiceRequest

    faults: list[str] = []
    tests, medicines = {}, {}
    for orderable in pathway.orderables.values():
        place = f'{pathway.id}/orderables.toml orderable "{orderable.id}"'
        tests[orderable.id] = validated(service_request(orderable), ServiceRequest.model_validate, place, faults)
    follow_ups = {}
    for each in pathway.follow_ups.values():
        place = f'{pathway.id}/follow-ups.toml follow_up "{each.id}"'
        ordered = pathway.orderables.get(each.orderable)
        request = later_request(each, ordered) | {"occurrenceDateTime": SOME_DAY}
        follow_ups[each.id] = validated(request, ServiceRequest.model_validate, place, faults)
    for regimen in pathway.regimens.values():
        place = f'{pathway.id}/regimens.toml regimen "{regimen.id}"'
        unknown = {phase.route for phase in regimen.phases} - content.route_codings.keys()
        if unknown:
            faults.append(f"{place}: no coding for the route {', '.join(sorted(unknown))} in value-sets/route-*.csv")
            continue
        template = medication_request(regimen, content)
        medicines[regimen.id] = validated(template, MedicationRequest.model_validate, place, faults)
    if faults:
        raise ContentError(faults)
    return Drafts(tests, medicines, follow_ups)


def validated(resource: Json, model: Callable[[Json], Any], place: str, faults: list[str]) -> Json:
    """The resource as the model writes it, or a fault. pydantic's errors are ValueErrors, each with its path."""
    faults += [f"{place}: {fault}" for fault in binding_faults(resource)]
    try:
        built: Json = json.loads(model(resource).model_dump_json())
        return built
    except ValueError as error:
        faults.append(f"{place}: not a valid {resource['resourceType']}: {error}")
        return {}


def binding_faults(resource: Json) -> list[str]:
    """Codes with a required binding that are not in it; fhir.resources would accept any."""
    medicine = resource["resourceType"] == "MedicationRequest"
    wrong = [
        (name, value)
        for name, value, allowed in (
            ("status", resource["status"], MEDICATION_STATUS if medicine else REQUEST_STATUS),
            ("intent", resource["intent"], MEDICATION_INTENT if medicine else REQUEST_INTENT),
        )
        if value not in allowed
    ]
    for dosage in resource.get("dosageInstruction", []):
        repeat = dosage["timing"]["repeat"]
        bounds = [repeat.get("boundsDuration", {}), *repeat.get("boundsRange", {}).values()]
        units = [("periodUnit", repeat["periodUnit"]), *(("bounds", each.get("code", "d")) for each in bounds)]
        wrong += [(name, unit) for name, unit in units if unit not in UNITS_OF_TIME]
    return [f"{name} {value!r} is not in the required value set" for name, value in wrong]


def service_request(orderable: Orderable) -> Json:
    """A test to order: its codings, ours first, and its title."""
    codings = (*((orderable.coding,) if orderable.coding else ()), *orderable.more_codings)
    code: Json = {"coding": [coding(each) for each in codings]} if codings else {}
    return {
        "resourceType": "ServiceRequest",
        "id": "template",
        "status": STATUS,
        "intent": INTENT,
        "code": code | {"text": orderable.title},
        "subject": {"reference": SOMEONE},
        "authoredOn": SOME_DAY,
    }


def later_request(follow_up: FollowUp, orderable: Orderable | None) -> Json:
    """What is to be done later: the codes of its test, where it has one, and its own title."""
    named = Orderable(follow_up.id, follow_up.title, None, (), 0, follow_up.provenance)
    found = service_request(orderable or named)
    return found | {"code": found["code"] | {"text": follow_up.title}}


def medication_request(regimen: Regimen, content: Content) -> Json:
    """A medicine to order: one dosage per phase, in their sequence."""
    codings = {"coding": [coding(each) for each in regimen.codings]} if regimen.codings else {}
    return {
        "resourceType": "MedicationRequest",
        "id": "template",
        "status": STATUS,
        "intent": INTENT,
        "medicationCodeableConcept": codings | {"text": regimen.text},
        "subject": {"reference": SOMEONE},
        "authoredOn": SOME_DAY,
        "dosageInstruction": [
            dosage(phase, number, content.route_codings[phase.route])
            for number, phase in enumerate(regimen.phases, start=1)
        ],
    }


def coding(parts: tuple[str, str, str]) -> Json:
    system, code, display = parts
    return {"system": system, "code": code, "display": display}


def dosage(phase: Phase, sequence: int, route: tuple[str, str, str]) -> Json:
    """One phase. Its words say everything, for clients that show no more than the text."""
    return {
        "sequence": sequence,
        "text": phase.words,
        "timing": {"repeat": repeat(phase)},
        "route": {"coding": [coding(route)]},
        "doseAndRate": [dose(phase)],
    }


def repeat(phase: Phase) -> Json:
    """How often, and what ends it where a number does; otherwise only the words can."""
    found: Json = {}
    if phase.duration and phase.duration_high:
        found["boundsRange"] = {"low": length(*phase.duration), "high": length(*phase.duration_high)}
    elif phase.duration:
        found["boundsDuration"] = length(*phase.duration)
    if phase.count is not None:
        found["count"] = phase.count
    period = phase.period if phase.drafted_period is None else phase.drafted_period
    return found | {"frequency": phase.frequency, "period": json_number(period), "periodUnit": phase.period_unit}


def length(value: Decimal, unit: str) -> Json:
    """So many weeks, in UCUM."""
    return {"value": json_number(value), "unit": UNITS_OF_TIME.get(unit, unit), "system": UCUM, "code": unit}


def dose(phase: Phase) -> Json:
    """One dose, in UCUM: a range stays in the words, where a prescription needs one value."""
    value = phase.dose if phase.drafted_dose is None else phase.drafted_dose
    return {"doseQuantity": quantity(value, phase.dose_unit)}


def quantity(value: Decimal, unit: str) -> Json:
    return {"value": json_number(value), "unit": unit, "system": UCUM, "code": DOSE_UNITS[unit]}


def json_number(value: Decimal) -> int | float:
    """A JSON number: whole where it is whole."""
    return int(value) if value == value.to_integral_value() else float(value)


REQUIRED = ("resourceType", "status", "intent", "subject")  # what a draft lacks of these comes from ours
# The narrative retells the medicine and the dosage that are replaced, so it would contradict the new ones.
REPLACED = ("medicationCodeableConcept", "medicationReference", "dosageInstruction", "text")


class _Bundle(msgspec.Struct, rename="camel", gc=False):
    """A Bundle, or a resource by itself, as far as one must look to find a draft."""

    resource_type: str | None = None
    id: str | None = None
    entry: msgspec.Raw = msgspec.Raw(b"null")


class _Entry(msgspec.Struct, gc=False):
    resource: msgspec.Raw = msgspec.Raw(b"null")


_BUNDLE = msgspec.json.Decoder(_Bundle)
_ENTRY = msgspec.json.Decoder(_Entry)
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])


def received(raw: bytes | msgspec.Raw, references: Collection[str]) -> dict[str, Json]:
    """The drafts of these references ("MedicationRequest/1") as the client sent them, as far as they can be found and
    are valid FHIR."""
    found: dict[str, Json] = {}
    for resource in resources_in(raw) if references else ():
        try:
            outline = _BUNDLE.decode(resource)
            name = f"{outline.resource_type}/{outline.id}"
            if name in references and name not in found and (valid := valid_order(bytes(resource))):
                found[name] = valid | {"id": outline.id}
        except msgspec.DecodeError:
            continue
    return found


def resources_in(raw: bytes | msgspec.Raw) -> Iterator[msgspec.Raw]:
    """Every resource of a Bundle and of the Bundles in it; or the lone resource."""
    try:
        outline = _BUNDLE.decode(raw)
    except msgspec.DecodeError:
        return
    if outline.resource_type != "Bundle":
        yield msgspec.Raw(bytes(raw))
        return
    is_list = bytes(memoryview(outline.entry)[:1]) == b"["
    for part in _PARTS.decode(outline.entry) if is_list else [outline.entry]:
        try:
            inner = _ENTRY.decode(part).resource
        except msgspec.DecodeError:
            continue
        yield from resources_in(inner)


def patched(draft: Json, ours: Json) -> Json:
    """The draft with the medicine and the dosage of ours; everything else stays as it came, as far as it is valid."""
    inner = draft.get("medicationReference", {}).get("reference", "")
    kept = {name: value for name, value in draft.items() if name not in REPLACED}
    if inner.startswith("#"):
        others = [each for each in kept.get("contained", ()) if each.get("id") != inner[1:]]
        kept = {name: value for name, value in kept.items() if name != "contained"}
        kept |= {"contained": others} if others else {}
    required = {name: ours[name] for name in REQUIRED}
    return required | kept | {name: ours[name] for name in REPLACED if name in ours}
