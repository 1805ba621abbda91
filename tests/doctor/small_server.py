"""A small FHIR server on this machine that really searches: enough of FHIR for the doctor, and its faults on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fhir.loopback import Handler, Server, body, serving, status

Json = dict[str, Any]
TYPES = (
    "Patient", "Observation", "Condition", "MedicationStatement", "MedicationRequest", "MedicationAdministration",
    "MedicationDispense", "ServiceRequest", "Procedure", "AllergyIntolerance", "FamilyMemberHistory", "Medication",
)  # fmt: skip
PARAMETERS = ("patient", "code", "category", "_sort", "_count")


@dataclass
class Record:
    """What the server holds, and what is wrong with it."""

    resources: list[Json]
    lacks: tuple[str, ...] = ()  # types that it does not have
    ignores: tuple[str, ...] = ()  # search parameters that it does not use
    needs_patient: bool = False  # refuses a search over everybody
    hidden: tuple[str, ...] = ()  # categories that a search without category leaves out
    says_self: bool = True  # repeats in link.self what it used
    page: int = 50  # entries of its largest page
    capability: Mapping[str, Any] = field(default_factory=dict)  # changes to its CapabilityStatement
    token: str = ""
    denied: tuple[str, ...] = ()  # categories to which no access is granted
    next_base: str = ""  # where its links to further pages lead, if not to itself
    delay: float = 0.0  # seconds before an answer of one of the types `delayed`
    delayed: tuple[str, ...] = ()

    def statement(self) -> Json:
        kinds = [
            {
                "type": kind,
                "interaction": [{"code": "read"}, {"code": "search-type"}],
                "searchParam": [{"name": name, "type": "token"} for name in PARAMETERS if name not in self.ignores],
            }
            for kind in TYPES
            if kind not in self.lacks
        ]
        found = {
            "resourceType": "CapabilityStatement",
            "fhirVersion": "4.0.1",
            "software": {"name": "Small", "version": "1"},
            "rest": [{"mode": "server", "resource": kinds}],
        }
        return {**found, **self.capability}

    def __call__(self, handler: Handler) -> None:
        """Answer one request."""
        split = urlsplit(handler.path)
        path = split.path.removeprefix("/fhir/")
        if path == "metadata":
            return send(handler, self.statement())
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            return status(401)(handler)
        kind, _, name = path.partition("/")
        if kind not in TYPES or kind in self.lacks:
            return status(404)(handler)
        if name:
            found = [each for each in self.resources if (each["resourceType"], each["id"]) == (kind, name)]
            return send(handler, found[0]) if found else status(404)(handler)
        return self.search(handler, kind, dict(parse_qsl(split.query)))

    def search(self, handler: Handler, kind: str, asked: dict[str, str]) -> None:
        if asked.get("category") in self.denied:
            return status(403)(handler)
        if kind in self.delayed:
            handler.server.over.wait(self.delay)
        wanted = {name: value for name, value in asked.items() if name not in self.ignores}
        if self.needs_patient and "patient" not in asked:
            return status(400)(handler)
        found = [each for each in self.resources if each["resourceType"] == kind and self.matches(each, wanted)]
        if wanted.get("_sort") == "-date":
            found.sort(key=lambda each: each.get("effectiveDateTime", ""), reverse=True)
        offset, size = int(wanted.get("offset", 0)), min(int(wanted.get("_count", self.page)), self.page)
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        links = [{"relation": "self", "url": f"{base_of(handler)}/{kind}?{query}"}] if self.says_self else []
        if offset + size < len(found):
            rest = "&".join(f"{name}={value}" for name, value in {**wanted, "offset": offset + size}.items())
            links.append({"relation": "next", "url": f"{self.next_base or base_of(handler)}/{kind}?{rest}"})
        entries = [{"resource": each, "search": {"mode": "match"}} for each in found[offset : offset + size]]
        return send(handler, {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries})

    def matches(self, resource: Json, wanted: Mapping[str, str]) -> bool:
        subject = (resource.get("subject") or resource.get("patient") or {}).get("reference")
        if "patient" in wanted and subject != f"Patient/{wanted['patient']}":
            return False
        codes = [coding["code"] for coding in resource.get("code", {}).get("coding", ()) if "code" in coding]
        if "code" in wanted and not set(codes) & set(wanted["code"].split(",")):
            return False
        named = {coding["code"] for each in resource.get("category", ()) for coding in each["coding"]}
        if "category" in wanted:
            return wanted["category"] in named
        return not named & set(self.hidden)


def send(handler: Handler, found: Json) -> None:
    body(json.dumps(found).encode())(handler)


def base_of(handler: Handler) -> str:
    return handler.server.base


class Everything(dict):
    """One answer for every path."""

    def __init__(self, answer: Any):
        super().__init__()
        self.answer = answer

    def get(self, _path: str, _default: Any = None) -> Any:
        return self.answer


@contextmanager
def small_server(record: Record) -> Iterator[Server]:
    """The server, as long as the test lasts."""
    with serving() as server:
        server.answers = Everything(record)
        yield server


def patient(name: str) -> Json:
    return {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1951-03-09"}


def coded(code: str, system: str, display: str = "", text: str = "") -> Json:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]} | ({"text": text} if text else {})


def result(name: str, of: str, code: Json, value: Any = 150, unit: str = "ng/L", **fields: Any) -> Json:
    """A final laboratory result; a field given as None is left out."""
    found = {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": code,
        "subject": {"reference": f"Patient/{of}"},
        "effectiveDateTime": "2026-01-10",
        "valueQuantity": {"value": value} | ({"unit": unit} if unit else {}),
    }
    return {key: each for key, each in {**found, **fields}.items() if each is not None}


def order(name: str, of: str, medicine: Json | str) -> Json:
    """An active order of a medicine; a text is the reference of a Medication."""
    named = "medicationReference" if isinstance(medicine, str) else "medicationCodeableConcept"
    return {
        "resourceType": "MedicationRequest",
        "id": name,
        "status": "active",
        "intent": "order",
        "authoredOn": "2026-01-01",
        named: {"reference": medicine} if isinstance(medicine, str) else medicine,
        "subject": {"reference": f"Patient/{of}"},
    }
