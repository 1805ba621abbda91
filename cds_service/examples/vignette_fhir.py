"""The hook request that a vignette makes: FHIR resources and draft orders, from the first codes of the value sets."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from ..cdshooks.registry import HOOKS
from ..clinical.tables import Analyte, Orderable, normalise_unit
from ..content.content import Content
from ..content.faults import listing, nearest
from .vignettes import Vignette, VignetteError

Json = dict[str, Any]

PATIENT = "pt-1"
KINDS_OF_UNIT = ("mass", "molar")  # the kinds of unit for which a code of a laboratory may be
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
REQUIRED = {  # of these keys an entry needs one
    "lab": ("analyte",),
    "problem": ("concept",),
    "medicine": ("ingredient",),
    "allergy": ("substance",),
    "order": ("orderable",),
    "selected": ("ingredient", "orderable"),
    "beside": ("ingredient", "orderable"),
}
MEASURE, PERIOD = re.compile(r"\d+(\.\d+)? \S.*"), re.compile(r"\d+(\.\d+)? (day|week|month|year)s?")


def request_bytes(vignette: Vignette, content: Content) -> bytes:
    """The body of the call, numbers with their trailing zeros."""
    return ENCODER.encode(hook_request(vignette, content))


def hook_request(vignette: Vignette, content: Content) -> Json:
    """The request about the vignette's patient, with full prefetch, and with the orders of an order hook."""
    check(vignette, content)
    build = Build(vignette, content)
    prefetch: Json = {key: [] for key in content.prefetch["full"] if key != "patient"}
    for resource in build.resources():
        prefetch[build.key(resource)].append(resource)
    bundles = {key: bundle(entries) for key, entries in prefetch.items()}
    bundles["patient"] = build.patient()
    for key in vignette.fields.get("unavailable", ()):
        del bundles[key]
    for key in vignette.fields.get("incomplete", ()):
        bundles[key]["link"] = [{"relation": "next", "url": "https://fhir.example.org/next"}]
    orders = order_context(vignette.fields, vignette.hook, build) if HOOKS[vignette.hook].carries_orders else {}
    return {
        "hook": vignette.hook,
        "hookInstance": "00000000-0000-4000-8000-000000000001",
        "context": {"userId": "Practitioner/gp-1", "patientId": PATIENT, **orders},
        "prefetch": bundles,
    }


def check(vignette: Vignette, content: Content) -> None:
    """VignetteError, with the place and what is allowed, where an entry names what there is not, or says no number, day
    or dose where it should."""
    pathway = known(vignette.pathway, content.pathways, "pathway")
    age = vignette.fields.get("patient", {}).get("age", 0)
    if age != "unknown":
        check_number(age, "[patient] age", whole=True)
    for key in (*vignette.fields.get("unavailable", ()), *vignette.fields.get("incomplete", ())):
        known(key, content.prefetch["full"], "unavailable or incomplete: prefetch key")
    for table, wanted in REQUIRED.items():
        for number, entry in enumerate(vignette.fields.get(table, ()), start=1):
            place = f"[[{table}]] number {number}"
            if not any(key in entry for key in wanted):
                raise VignetteError(f"{place} {' or '.join(wanted)}: is missing")
            if "analyte" in entry:
                known(entry["analyte"], content.analytes, f"{place} analyte")
            if "orderable" in entry:
                known(entry["orderable"], content.pathways[pathway].orderables, f"{place} orderable")
            if "as" in entry and table in AS:
                known(entry["as"], AS[table], f"{place} as")
            check_values(entry, place)


AS = {  # as what kind of resource an entry is sent
    "problem": ("condition", "observation", "procedure", "family"),
    "medicine": ("order", "statement", "administration", "dispense"),
}


def check_values(entry: Json, place: str) -> None:
    """Numbers, doses and periods of one entry."""
    for key, value in entry.items():
        if key in ("value", "low", "high", "ampoules", "supply", "times") or key.endswith("days_ago"):
            check_number(value, f"{place} {key}", whole=key.endswith("days_ago"))
        if key == "dose" and not (isinstance(value, str) and MEASURE.fullmatch(value)):
            raise VignetteError(f'{place} dose: {value!r} is no dose; allowed: a number and a unit such as "1 mg"')
        if key in ("every", "for") and not (isinstance(value, str) and PERIOD.fullmatch(value)):
            raise VignetteError(f'{place} {key}: {value!r} is no period; allowed: such as "1 day" or "2 months"')
    for phase in entry.get("phases", ()):
        check_values(phase, f"{place} phases")


MOST_DAYS = 60_000  # and years: far beyond a life, and within the calendar


def check_number(value: object, place: str, *, whole: bool = False) -> None:
    """A number, or the text of one."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or (whole and number != int(number)) or (whole and abs(number) > MOST_DAYS):
        kind = f"whole number of at most {MOST_DAYS}" if whole else "number"
        raise VignetteError(f"{place}: {value!r} is no {kind}")


def known(name: str, names: Collection[str], place: str) -> str:
    """The name, which is among these."""
    if name not in names:
        raise VignetteError(f"{place}: there is no {name!r}.{nearest(str(name), names)} Known: {listing(names)}")
    return name


def bundle(resources: list[Json]) -> Json:
    """A searchset Bundle."""
    found: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(resources)}
    if resources:
        found["entry"] = [{"resource": each, "search": {"mode": "match"}} for each in resources]
    return found


class Build:
    """Builds the FHIR resources of one vignette."""

    def __init__(self, vignette: Vignette, content: Content):
        self.fields, self.as_of, self.content = vignette.fields, vignette.as_of, content
        self.count = 0

    def patient(self) -> Json:
        """The Patient; `age` in years unless `born` is given."""
        entry = self.fields.get("patient", {})
        patient = {"resourceType": "Patient", "id": PATIENT, "gender": entry.get("sex", "female")}
        if "born" in entry:
            patient["birthDate"] = str(entry["born"])
        elif entry.get("age") != "unknown":
            patient["birthDate"] = str(date(self.as_of.year - int(entry.get("age", 50)), 1, 1))
        if entry.get("deceased"):
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
        entries = {table: list(self.fields.get(table, ())) for table in makers}
        if self.fields.get("egfr", "normal") == "normal" and not any(e["analyte"] == "egfr" for e in entries["lab"]):
            entries["lab"].append(DEFAULT_EGFR)
        return [maker(entry) for table, maker in makers.items() for entry in entries[table]]

    def key(self, resource: Json) -> str:
        """The prefetch key under which a client would send the resource."""
        if resource["resourceType"] != "Observation":
            return KEY_OF[resource["resourceType"]]
        category = resource.pop("_analyte", None)
        return self.content.analytes[category].prefetch if category else "status"

    def begin(self, kind: str, entry: Json, **fields: Any) -> Json:
        """A resource with type, id and patient."""
        self.count += 1
        subject = "patient" if kind in ("AllergyIntolerance", "FamilyMemberHistory") else "subject"
        identity = entry.get("id", f"{kind.lower()[:3]}-{self.count}")
        return {"resourceType": kind, "id": identity, subject: {"reference": f"Patient/{PATIENT}"}, **fields}

    def day(self, entry: Json, name: str = "") -> str | None:
        """The day that is given, or None: `days_ago`/`date`, or with a name `ended_days_ago`/`ended`."""
        ago, day = (f"{name}_days_ago", name) if name else ("days_ago", "date")
        if ago in entry:
            return str(self.as_of - timedelta(days=int(entry[ago])))
        return str(entry[day]) if day in entry else None

    def concept(self, name: str, code: str | None = None, text: str | None = None) -> Json:
        """A CodeableConcept with the first (or the given) code of a value set, or with words alone."""
        if text:
            return {"text": text}
        rows = [row for row in value_set(self.content, name) if row["use"] not in UNFIT]
        exact = [row for row in rows if code in (None, row["code"], row["use"])]
        for row in exact or [row for row in rows if code in KINDS_OF_UNIT and row["use"] == "either"]:
            return {"coding": [{key: row[key] for key in ("system", "code", "display")}]}
        raise VignetteError(f"no code in value set {name!r}" + (f" like {code!r}" if code else ""))

    def lab(self, entry: Json) -> Json:
        """An Observation of a laboratory."""
        analyte = self.content.analytes[entry["analyte"]]
        code = entry.get("code") or fitting(analyte, entry.get("unit"))
        found = self.begin("Observation", entry, status=entry.get("status", "final"), _analyte=analyte.id)
        found["code"] = self.concept(f"lab-{analyte.id}", code)
        dated(found, "effectiveDateTime", self.day(entry))
        if "outcome" in entry:
            found["valueCodeableConcept"] = {"text": entry["outcome"]}
        elif "value" in entry:
            found["valueQuantity"] = quantity(entry["value"], entry.get("unit"), entry.get("comparator"))
        limits = {side: quantity(entry[side], entry.get("unit")) for side in ("low", "high") if side in entry}
        if limits:
            found["referenceRange"] = [limits]
        if "flag" in entry:
            found["interpretation"] = [{"coding": [{"code": entry["flag"]}]}]
        return found

    def problem(self, entry: Json) -> Json:
        """A Condition, or an Observation, Procedure or FamilyMemberHistory where `as` says so."""
        code = self.concept(f"problem-{entry['concept']}", text=entry.get("text"))
        kind, day = entry.get("as", "condition"), self.day(entry)
        if kind == "observation":
            found = self.begin("Observation", entry, status="final", code=code, valueBoolean=True)
            return dated(found, "effectiveDateTime", day)
        if kind == "procedure":
            return dated(self.begin("Procedure", entry, status="completed", code=code), "performedDateTime", day)
        if kind == "family":
            return self.begin("FamilyMemberHistory", entry, status="completed", condition=[{"code": code}])
        status = entry.get("status", "active")
        found = self.begin("Condition", entry, code=code, clinicalStatus={"coding": [{"code": status}]})
        dated(found, "abatementDateTime", self.day(entry, "ended"))
        return dated(found, "recordedDate", day)

    def medicine(self, entry: Json) -> Json:
        """A MedicationRequest, or what `as` says: statement, administration, dispense."""
        kind, day, end = entry.get("as", "order"), self.day(entry), self.day(entry, "ended")
        code = self.concept(f"medicine-{entry['ingredient']}", text=entry.get("text"))
        status = entry.get("status", "completed" if end else "active")
        if kind == "administration":
            found = self.begin("MedicationAdministration", entry, status=entry.get("status", "completed"))
            found["dosage"] = dose_given(entry)
            dated(found, "effectiveDateTime", day)
        elif kind == "dispense":
            found = self.begin("MedicationDispense", entry, status=entry.get("status", "completed"))
            found["dosageInstruction"] = [instruction(entry)]
            if "ampoules" in entry:
                found["quantity"] = {"value": entry["ampoules"], "unit": "ampoule"}
            if "supply" in entry:
                found["daysSupply"] = {"value": entry["supply"], "unit": "days"}
            dated(found, "whenHandedOver", day)
        elif kind == "statement":
            found = self.begin("MedicationStatement", entry, status=status, dosage=[instruction(entry)])
            period = {name: each for name, each in (("start", day), ("end", end)) if each}
            if entry.get("on") == "day":
                dated(found, "effectiveDateTime", day)
            else:
                found |= {"effectivePeriod": period} if period else {}
        else:
            instructions = [instruction({"route": entry.get("route"), **each}) for each in entry.get("phases", [entry])]
            found = self.begin(
                "MedicationRequest", entry, status=status, intent="order", dosageInstruction=instructions
            )
            dated(found, "authoredOn", day)
            if end:
                found["dispenseRequest"] = {"validityPeriod": {"end": end}}
        found["medicationCodeableConcept"] = code
        return found

    def allergy(self, entry: Json) -> Json:
        """An active AllergyIntolerance."""
        status = {"coding": [{"code": "active"}]}
        return self.begin(
            "AllergyIntolerance", entry, clinicalStatus=status, code=self.concept(f"allergy-{entry['substance']}")
        )

    def order(self, entry: Json) -> Json:
        """An open ServiceRequest for one of our orderables."""
        orderable = self.orderable(entry["orderable"])
        code = coded(orderable)
        found = self.begin("ServiceRequest", entry, status="active", intent="order", code=code)
        dated(found, "occurrenceDateTime", self.day(entry, "planned"))
        return dated(found, "authoredOn", self.day(entry))

    def orderable(self, name: str) -> Orderable:
        """One of the pathway's tests."""
        return self.content.pathways[self.fields.get("pathway", "uk-ng239")].orderables[name]


def coded(orderable: Orderable) -> Json:
    """The code of a test as a CodeableConcept; in words where it has none."""
    if orderable.coding is None:
        return {"text": orderable.title}
    return {"coding": [dict(zip(("system", "code", "display"), orderable.coding, strict=True))]}


def fitting(analyte: Analyte, unit: str | None) -> str | None:
    """The kind of code ("mass", "molar") that fits the unit given, for analytes that have both kinds."""
    known = analyte.units.get(normalise_unit(unit or ""))
    return known.family if known and len(analyte.bases) > 1 and known.family in KINDS_OF_UNIT else None


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


def order_context(entry: Json, hook: str, build: Build) -> Json:
    """`draftOrders` and, where the hook tells of them, `selections`."""
    selected = [draft(entry, build) for entry in entry.get("selected", ())]
    beside = [draft(entry, build) for entry in entry.get("beside", ())]
    entries = [{"resource": each} for each in (*selected, *beside)]
    bundle: Json = {"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})}
    if "selections" not in HOOKS[hook].fields:
        return {"draftOrders": bundle}
    return {"selections": [f"{each['resourceType']}/{each['id']}" for each in selected], "draftOrders": bundle}


def draft(entry: Json, build: Build) -> Json:
    """A draft ServiceRequest of one of our tests, or a draft MedicationRequest."""
    status = entry.get("status", "draft")
    if "orderable" in entry:
        orderable = build.orderable(entry["orderable"])
        code = coded(orderable)
        return build.begin("ServiceRequest", entry, status=status, intent="order", code=code)
    medicine = build.concept(f"medicine-{entry['ingredient']}", text=entry.get("text"))
    found = build.begin("MedicationRequest", entry, status=status, intent="order", medicationCodeableConcept=medicine)
    instructions = [instruction({"route": entry.get("route"), **each}) for each in entry.get("phases", [entry])]
    if any(instructions):
        found["dosageInstruction"] = [{"sequence": number, **each} for number, each in enumerate(instructions, start=1)]
    return found


def instruction(entry: Json) -> Json:
    """A dosage instruction: route, dose ("1 mg"), how often (`times` "every" so long), `for` how long; or in words."""
    found: Json = {}
    if entry.get("instructions"):
        found["text"] = entry["instructions"]
    if entry.get("route"):
        found["route"] = {"text": entry["route"]}
    if entry.get("dose"):
        found["doseAndRate"] = [{"doseQuantity": amount(entry["dose"])}]
    if entry.get("every"):
        found["timing"] = {"repeat": repeat(entry)}
    if entry.get("as_needed"):
        found["asNeededBoolean"] = True
    return found


def dose_given(entry: Json) -> Json:
    """The dosage of an administration, which has one dose and no rate."""
    found = instruction(entry)
    (rate,) = found.pop("doseAndRate", [{}])
    return found | ({"dose": rate["doseQuantity"]} if rate else {})


def amount(text: str) -> Json:
    """ "1 mg" as a Quantity."""
    number, unit = text.split(" ", 1)
    return {"value": Decimal(number), "unit": unit}


def repeat(entry: Json) -> Json:
    """Timing.repeat: 3 `times` every "1 week" for "2 weeks"."""
    period, unit = entry["every"].split(" ", 1)
    found: Json = {"frequency": entry.get("times", 1), "period": Decimal(period), "periodUnit": UNITS[unit.rstrip("s")]}
    if "for" in entry:
        length, unit = entry["for"].split(" ", 1)
        found["boundsDuration"] = {"value": Decimal(length), "code": UNITS[unit.rstrip("s")]}
    return found


def value_set(content: Content, name: str) -> list[dict[str, str]]:
    """The rows of a value set, in the order of its file, and then a site's own."""
    folders = [each for each in (content.folder, content.site.folder) if each is not None]
    paths = [path for folder in folders if (path := folder / "value-sets" / f"{name}.csv").is_file()]
    if not paths:
        kind, _, concept = name.partition("-")
        files = (path.stem for folder in folders for path in (folder / "value-sets").glob(f"{kind}-*.csv"))
        there = {each.removeprefix(f"{kind}-") for each in files}
        raise VignetteError(f"there is no {kind} {concept!r}.{nearest(concept, there)} Known: {listing(there)}")
    return [row for path in paths for row in rows_of(path)]


def rows_of(path: Path) -> tuple[dict[str, str], ...]:
    """The rows of a value set's file. It is read again only when it has changed: each vignette asks for several."""
    state = path.stat()
    return read_rows(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def read_rows(path: Path, _size: int, _changed: int) -> tuple[dict[str, str], ...]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return tuple(csv.DictReader(file))
