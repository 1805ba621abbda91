"""One patient for the engines, what ours says of it, and in what an engine's answer differs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from tests.api import (
    ENCODER,
    ClientConfig,
    Expected,
    PathwayLibrary,
    Vignette,
    judged_vignette,
    record_of,
)

Json = dict[str, Any]
TABLES = ("safety", "course", "interpret", "treat", "notes", "follow-up")
ORDERS = ("orders",)


@dataclass(frozen=True)
class Patient:
    """The record as FHIR, the parameters, and what must be answered."""

    vignette: Vignette
    record: Json
    expected: Expected
    days: dict[str, date]  # of each follow-up, were it drafted

    @property
    def day(self) -> date:
        return self.vignette.as_of

    @property
    def plans(self) -> tuple[str, ...]:
        """The PlanDefinitions that answer about this patient."""
        return ORDERS if self.expected.about_orders else TABLES


def patient_of(vignette: Vignette, client: ClientConfig, library: PathwayLibrary) -> Patient:
    """The patient of a vignette, as this service reads and judges it."""
    record = bundle(record_of(vignette, client))
    days = {each.id: each.day(vignette.as_of) for each in client.pathway.follow_ups.values()}
    return Patient(vignette, record, judged_vignette(vignette, client, library), days)


def bundle(resources: list[Json]) -> Json:
    """All resources of a request in one Bundle, as plain JSON."""
    entries = [{"resource": each} for each in resources]
    return json.loads(ENCODER.encode({"resourceType": "Bundle", "type": "collection", "entry": entries}))


def given(patient: Patient, library: PathwayLibrary) -> tuple[Json, Json]:
    """(the parameters that must be given, those that the library computes)."""
    parameters = patient.expected.parameters
    computed = {name: value for name, value in parameters.items() if library.is_computed(name)}
    return {name: value for name, value in parameters.items() if name not in computed}, computed


def cql_job(patient: Patient, library: PathwayLibrary) -> Json:
    must, rest = given(patient, library)
    return {
        "library": library.name,
        "day": patient.day.isoformat(),
        "record": patient.record,
        "given": must,
        "rest": rest,
    }


def differences(patient: Patient, said: Json) -> list[str]:
    """In what the answer of cql-execution differs, a line each."""
    lines = []
    for name, value in patient.expected.answers().items():
        theirs = said["answer"][name]
        if isinstance(value, (frozenset, tuple)):
            theirs = type(value)(theirs or ())
        if theirs != value and not (name == "Treat" and patient.expected.answer.label == "out-of-scope"):
            lines.append(f"{patient.vignette.name} {name}: {shown(theirs)}, and ours says {shown(value)}")
    for name, value in said["findings"].items():
        if name in patient.expected.parameters and value != patient.expected.parameters[name]:
            lines.append(f"{patient.vignette.name} finding {name}: {value}")
    return lines


def shown(value: object) -> str:
    return ", ".join(sorted(value)) if isinstance(value, (frozenset, tuple)) else str(value)


def apply_job(patient: Patient, pathway: str, plans: Iterable[str], parameters: Json, *, anew: bool = False) -> Json:
    """A FHIR Parameters for the Java program. `anew`: with its engine as it comes."""
    values = [{"name": name, "valueBoolean": value} for name, value in parameters.items()]
    values.append({"name": "Day", "valueDate": patient.day.isoformat()})
    asked = [{"name": "plan", "valueString": f"{pathway}-{plan}"} for plan in plans]
    asked += [{"name": "anew", "valueBoolean": True}] if anew else []
    return {
        "resourceType": "Parameters",
        "parameter": [
            *asked,
            {"name": "record", "resource": patient.record},
            {"name": "given", "resource": {"resourceType": "Parameters", "parameter": values}},
        ],
    }


def plans_in(answer: Json) -> list[Json]:
    """The CarePlans of an answer, in the order in which they were asked for."""
    return [each["resource"] for each in answer["parameter"]]


@dataclass(frozen=True)
class Applied:
    """What `$apply` made of the tables. `drafts`: "medicine-...", "test-...", "follow-up-... DAY", "problem-..."."""

    rows: frozenset[str]
    indicators: frozenset[str]
    notes: frozenset[str]
    drafts: frozenset[str]
    removals: frozenset[str]
    faults: tuple[str, ...]


PRIORITY = {"stat": "critical", "urgent": "warning", "routine": "info"}


def applied(plans: list[Json], pathway: str) -> Applied:
    """The actions that are left in the request groups, the orders that were made, and what went wrong."""
    rows, indicators, notes, removals, drafts = set(), set(), set(), set(), set()
    faults: list[str] = []
    for plan in plans:
        for each in plan.get("contained", ()):
            if each["resourceType"] == "OperationOutcome":
                faults += [issue.get("diagnostics", "") for issue in each["issue"]]
            elif each["resourceType"] != "RequestGroup":
                faults += [] if each["status"] == "draft" else [f"{each['id']} is {each['status']}"]
                drafts.add(drafted(each, pathway))
        for action in actions(plan):
            title = action["title"]
            if title.startswith("notes/"):
                notes.add(title)
            elif "/" in title:
                rows |= {title} if not title.startswith("fixed/") else set()
                indicators |= {f"{title} {PRIORITY[action['priority']]}"} if "priority" in action else set()
                removals |= {title for each in action.get("action", ()) if each["id"].endswith("-removal")}
    found = map(frozenset, (rows, indicators, notes, drafts, removals))
    return Applied(*found, tuple(faults))


def drafted(order: Json, pathway: str) -> str:
    """What was drafted, by the id of its definition; with its day, if it is for a later one."""
    canonical = order["instantiatesCanonical"]
    definition = canonical if isinstance(canonical, str) else canonical[0]
    name = definition.rpartition("/")[2].partition("|")[0].removeprefix(f"{pathway}-")
    day = order.get("occurrenceDateTime", "")[:10]
    return f"{name} {day}".strip()


def actions(plan: Json) -> list[Json]:
    """The actions of the rows, two levels below the request group."""
    groups = [each for each in plan.get("contained", ()) if each["resourceType"] == "RequestGroup"]
    top = [action for group in groups for action in group.get("action", ())]
    return [*top, *(inner for action in top for inner in action.get("action", ()))]
