"""The hook request that a vignette makes: FHIR resources and draft orders, from the first codes of the value sets."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ..clinical.tables import Analyte, Orderable, normalise_unit
from ..content.content import Content
from .vignettes import Vignette, VignetteError

Json = dict[str, Any]

PATIENT = "pt-1"
UNFIT = {"prefix", "multivitamin", "antidote", "component"}  # rows that are no plain example of their concept
DEFAULT_EGFR = {"analyte": "egfr", "value": "95", "unit": "mL/min/1.73 m2", "days_ago": 10}
KEY_OF = {
    "MedicationRequest": "medicationRequests",
    "MedicationStatement": "medications",
    "MedicationAdministration": "administrations",
    "MedicationDispense": "dispenses",
    "Condition": "conditions",
    "Procedure": "procedures",
    "FamilyMemberHistory": "family",
    "AllergyIntolerance": "allergies",
    "ServiceRequest": "orders",
}

UNITS = {"day": "d", "week": "wk", "month": "mo", "year": "a"}
ENCODER = msgspec.json.Encoder(decimal_format="number")


def request_bytes(vignette: Vignette, content: Content) -> bytes:
    """The body of the call, numbers with their trailing zeros."""
    return ENCODER.encode(hook_request(vignette, content))


def hook_request(vignette: Vignette, content: Content) -> Json:
    """The request about the vignette's patient, with full prefetch, and with the orders of an order hook."""
    build = Build(vignette, content)
    prefetch: Json = {key: [] for key in content.prefetch["full"] if key != "patient"}
    for resource in build.resources():
        prefetch[build.key(resource)].append(resource)
    bundles = {key: bundle(entries) for key, entries in prefetch.items()}
    bundles["patient"] = build.patient()
    for key in vignette.told.get("unavailable", ()):
        del bundles[key]
    for key in vignette.told.get("incomplete", ()):
        bundles[key]["link"] = [{"relation": "next", "url": "https://fhir.example.org/next"}]
    orders = order_context(vignette.told, vignette.hook, build) if vignette.hook != "patient-view" else {}
    return {
        "hook": vignette.hook,
        "hookInstance": "00000000-0000-4000-8000-000000000001",
        "context": {"userId": "Practitioner/gp-1", "patientId": PATIENT, **orders},
        "prefetch": bundles,
    }


def bundle(resources: list[Json]) -> Json:
    """A searchset Bundle."""
    found: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(resources)}
    if resources:
        found["entry"] = [{"resource": each, "search": {"mode": "match"}} for each in resources]
    return found


class Build:
    """Builds the FHIR resources of one vignette."""

    def __init__(self, vignette: Vignette, content: Content):
        self.told, self.as_of, self.content = vignette.told, vignette.as_of, content
        self.count = 0

    def patient(self) -> Json:
        """The Patient; `age` in years unless `born` is given."""
        told = self.told.get("patient", {})
        patient = {"resourceType": "Patient", "id": PATIENT, "gender": told.get("sex", "female")}
        if "born" in told:
            patient["birthDate"] = str(told["born"])
        elif told.get("age") != "unknown":
            patient["birthDate"] = str(date(self.as_of.year - int(told.get("age", 50)), 1, 1))
        if told.get("deceased"):
            patient["deceasedBoolean"] = True
        return patient

    def resources(self) -> list[Json]:
        """Everything but the Patient."""
        makers: dict[str, Callable[[Json], Json]] = {
            "lab": self.lab,
            "problem": self.problem,
            "medicine": self.medicine,
            "allergy": self.allergy,
            "order": self.order,
        }
        told = {table: list(self.told.get(table, ())) for table in makers}
        if self.told.get("egfr", "normal") == "normal" and not any(e["analyte"] == "egfr" for e in told["lab"]):
            told["lab"].append(DEFAULT_EGFR)
        return [maker(entry) for table, maker in makers.items() for entry in told[table]]

    def key(self, resource: Json) -> str:
        """The prefetch key under which a client would send the resource."""
        if resource["resourceType"] != "Observation":
            return KEY_OF[resource["resourceType"]]
        category = resource.pop("_analyte", None)
        return self.content.analytes[category].prefetch if category else "status"

    def begin(self, kind: str, told: Json, **fields: Any) -> Json:
        """A resource with type, id and patient."""
        self.count += 1
        subject = "patient" if kind in ("AllergyIntolerance", "FamilyMemberHistory") else "subject"
        identity = told.get("id", f"{kind.lower()[:3]}-{self.count}")
        return {"resourceType": kind, "id": identity, subject: {"reference": f"Patient/{PATIENT}"}, **fields}

    def day(self, told: Json, name: str = "") -> str | None:
        """The day that is given, or None: `days_ago`/`date`, or with a name `ended_days_ago`/`ended`."""
        ago, day = (f"{name}_days_ago", name) if name else ("days_ago", "date")
        if ago in told:
            return str(self.as_of - timedelta(days=int(told[ago])))
        return str(told[day]) if day in told else None

    def concept(self, name: str, code: str | None = None, text: str | None = None) -> Json:
        """A CodeableConcept with the first (or the given) code of a value set, or with words alone."""
        if text:
            return {"text": text}
        for row in value_set(self.content, name):
            if row["use"] not in UNFIT and (code in (None, row["code"]) or code == row["use"]):
                return {"coding": [{key: row[key] for key in ("system", "code", "display")}]}
        raise VignetteError(f"no code in value set {name!r}" + (f" like {code!r}" if code else ""))

    def lab(self, told: Json) -> Json:
        """An Observation of a laboratory."""
        analyte = self.content.analytes[told["analyte"]]
        code = told.get("code") or fitting(analyte, told.get("unit"))
        found = self.begin("Observation", told, status=told.get("status", "final"), _analyte=analyte.id)
        found["code"] = self.concept(f"lab-{analyte.id}", code)
        dated(found, "effectiveDateTime", self.day(told))
        if "outcome" in told:
            found["valueCodeableConcept"] = {"text": told["outcome"]}
        elif "value" in told:
            found["valueQuantity"] = quantity(told["value"], told.get("unit"), told.get("comparator"))
        limits = {side: quantity(told[side], told.get("unit")) for side in ("low", "high") if side in told}
        if limits:
            found["referenceRange"] = [limits]
        if "flag" in told:
            found["interpretation"] = [{"coding": [{"code": told["flag"]}]}]
        return found

    def problem(self, told: Json) -> Json:
        """A Condition, or an Observation, Procedure or FamilyMemberHistory where `as` says so."""
        code = self.concept(f"problem-{told['concept']}", text=told.get("text"))
        kind, day = told.get("as", "condition"), self.day(told)
        if kind == "observation":
            found = self.begin("Observation", told, status="final", code=code, valueBoolean=True)
            return dated(found, "effectiveDateTime", day)
        if kind == "procedure":
            return dated(self.begin("Procedure", told, status="completed", code=code), "performedDateTime", day)
        if kind == "family":
            return self.begin("FamilyMemberHistory", told, status="completed", condition=[{"code": code}])
        status = told.get("status", "active")
        found = self.begin("Condition", told, code=code, clinicalStatus={"coding": [{"code": status}]})
        dated(found, "abatementDateTime", self.day(told, "ended"))
        return dated(found, "recordedDate", day)

    def medicine(self, told: Json) -> Json:
        """A MedicationRequest, or what `as` says: statement, administration, dispense."""
        kind, day, end = told.get("as", "order"), self.day(told), self.day(told, "ended")
        code = self.concept(f"medicine-{told['ingredient']}", text=told.get("text"))
        status = told.get("status", "completed" if end else "active")
        if kind == "administration":
            found = self.begin("MedicationAdministration", told, status=told.get("status", "completed"))
            found["dosage"] = instruction(told)
            dated(found, "effectiveDateTime", day)
        elif kind == "dispense":
            found = self.begin("MedicationDispense", told, status=told.get("status", "completed"))
            found["dosageInstruction"] = [instruction(told)]
            if "ampoules" in told:
                found["quantity"] = {"value": told["ampoules"], "unit": "ampoule"}
            if "supply" in told:
                found["daysSupply"] = {"value": told["supply"], "unit": "days"}
            dated(found, "whenHandedOver", day)
        elif kind == "statement":
            found = self.begin("MedicationStatement", told, status=status, dosage=[instruction(told)])
            period = {name: each for name, each in (("start", day), ("end", end)) if each}
            if told.get("on") == "day":
                dated(found, "effectiveDateTime", day)
            else:
                found |= {"effectivePeriod": period} if period else {}
        else:
            instructions = [instruction({"route": told.get("route"), **each}) for each in told.get("phases", [told])]
            found = self.begin("MedicationRequest", told, status=status, intent="order", dosageInstruction=instructions)
            dated(found, "authoredOn", day)
            if end:
                found["dispenseRequest"] = {"validityPeriod": {"end": end}}
        found["medicationCodeableConcept"] = code
        return found

    def allergy(self, told: Json) -> Json:
        """An active AllergyIntolerance."""
        status = {"coding": [{"code": "active"}]}
        return self.begin(
            "AllergyIntolerance", told, clinicalStatus=status, code=self.concept(f"allergy-{told['substance']}")
        )

    def order(self, told: Json) -> Json:
        """An open ServiceRequest for one of our orderables."""
        orderable = self.orderable(told["orderable"])
        code = coded(orderable)
        found = self.begin("ServiceRequest", told, status="active", intent="order", code=code)
        dated(found, "occurrenceDateTime", self.day(told, "planned"))
        return dated(found, "authoredOn", self.day(told))

    def orderable(self, name: str) -> Orderable:
        """One of the pathway's tests."""
        return self.content.pathways[self.told.get("pathway", "uk-ng239")].orderables[name]


def coded(orderable: Orderable) -> Json:
    """The code of a test as a CodeableConcept; in words where it has none."""
    if orderable.coding is None:
        return {"text": orderable.title}
    return {"coding": [dict(zip(("system", "code", "display"), orderable.coding, strict=True))]}


def fitting(analyte: Analyte, unit: str | None) -> str | None:
    """The kind of code ("mass", "molar") that fits the unit given, for analytes that have both kinds."""
    known = analyte.units.get(normalise_unit(unit or ""))
    return known.family if known and len(analyte.bases) > 1 and known.family in ("mass", "molar") else None


def dated(resource: Json, name: str, day: str | None) -> Json:
    """The resource with a date, if one is given."""
    if day:
        resource[name] = day
    return resource


def quantity(value: Any, unit: str | None, comparator: str | None = None) -> Json:
    """A Quantity; the number keeps its trailing zeros."""
    found: Json = {"value": Decimal(str(value))}
    if comparator:
        found["comparator"] = comparator
    if unit:
        found["unit"] = unit
    return found


def order_context(told: Json, hook: str, build: Build) -> Json:
    """`draftOrders` and, for order-select, `selections`."""
    selected = [draft(entry, build) for entry in told.get("selected", ())]
    beside = [draft(entry, build) for entry in told.get("beside", ())]
    entries = [{"resource": each} for each in (*selected, *beside)]
    bundle: Json = {"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})}
    if hook != "order-select":
        return {"draftOrders": bundle}
    return {"selections": [f"{each['resourceType']}/{each['id']}" for each in selected], "draftOrders": bundle}


def draft(told: Json, build: Build) -> Json:
    """A draft ServiceRequest of one of our tests, or a draft MedicationRequest."""
    status = told.get("status", "draft")
    if "orderable" in told:
        orderable = build.orderable(told["orderable"])
        code = coded(orderable)
        return build.begin("ServiceRequest", told, status=status, intent="order", code=code)
    medicine = build.concept(f"medicine-{told['ingredient']}", text=told.get("text"))
    found = build.begin("MedicationRequest", told, status=status, intent="order", medicationCodeableConcept=medicine)
    instructions = [instruction({"route": told.get("route"), **each}) for each in told.get("phases", [told])]
    if any(instructions):
        found["dosageInstruction"] = [{"sequence": number, **each} for number, each in enumerate(instructions, start=1)]
    return found


def instruction(told: Json) -> Json:
    """A dosage instruction: route, dose ("1 mg"), how often (`times` "every" so long), `for` how long; or in words."""
    found: Json = {}
    if told.get("instructions"):
        found["text"] = told["instructions"]
    if told.get("route"):
        found["route"] = {"text": told["route"]}
    if told.get("dose"):
        found["doseAndRate"] = [{"doseQuantity": amount(told["dose"])}]
    if told.get("every"):
        found["timing"] = {"repeat": repeat(told)}
    if told.get("as_needed"):
        found["asNeededBoolean"] = True
    return found


def amount(text: str) -> Json:
    """ "1 mg" as a Quantity."""
    number, unit = text.split(" ", 1)
    return {"value": Decimal(number), "unit": unit}


def repeat(told: Json) -> Json:
    """Timing.repeat: 3 `times` every "1 week" for "2 weeks"."""
    period, unit = told["every"].split(" ", 1)
    found: Json = {"frequency": told.get("times", 1), "period": Decimal(period), "periodUnit": UNITS[unit.rstrip("s")]}
    if "for" in told:
        length, unit = told["for"].split(" ", 1)
        found["boundsDuration"] = {"value": Decimal(length), "code": UNITS[unit.rstrip("s")]}
    return found


def value_set(content: Content, name: str) -> list[dict[str, str]]:
    """The rows of a value set, in the order of its file, and then a site's own."""
    folders = [each for each in (content.folder, content.site.folder) if each is not None]
    paths = [path for folder in folders if (path := folder / "value-sets" / f"{name}.csv").is_file()]
    if not paths:
        raise VignetteError(f"no value set {name!r}")
    return [row for path in paths for row in rows_of(path)]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
