"""One patient for the engines, what ours says of it, and in what an engine's answer differs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from tests.api import (
    ENCODER,
    ClientConfig,
    Expected,
    PathwayLibrary,
    Vignette,
    hook_request,
    judged_vignette,
    resources_of,
)

Json = dict[str, Any]
TABLES = ("safety", "course", "interpret", "treat")
SETS = ("indicators", "tests", "regimens")


@dataclass(frozen=True)
class Patient:
    """The record as FHIR, the parameters, and what must be answered."""

    vignette: Vignette
    record: Json
    expected: Expected

    @property
    def day(self) -> date:
        return self.vignette.as_of


def patient_of(vignette: Vignette, client: ClientConfig, library: PathwayLibrary) -> Patient:
    """The patient of a vignette, as this service reads and judges it."""
    record = bundle(hook_request(vignette, client.content)["prefetch"])
    return Patient(vignette, record, judged_vignette(vignette, client, library))


def bundle(prefetch: Json) -> Json:
    """All resources of a request in one Bundle, as plain JSON."""
    entries = [{"resource": each} for each in resources_of(prefetch)]
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
    ours = asdict(patient.expected.answer)
    lines = []
    for name, value in ours.items():
        theirs = said["answer"][name.capitalize()]
        theirs = frozenset(theirs or ()) if name in SETS else tuple(theirs) if isinstance(theirs, list) else theirs
        if theirs != value and not (name == "treat" and ours["label"] == "out-of-scope"):
            lines.append(f"{patient.vignette.name} {name}: {shown(theirs)}, and ours says {shown(value)}")
    for name, value in said["findings"].items():
        if name in patient.expected.parameters and value != patient.expected.parameters[name]:
            lines.append(f"{patient.vignette.name} finding {name}: {value}")
    return lines


def shown(value: object) -> str:
    return ", ".join(sorted(value)) if isinstance(value, (frozenset, tuple)) else str(value)


def apply_job(patient: Patient, pathway: str, table: str, parameters: Json) -> Json:
    """A FHIR Parameters for the Java program."""
    values = [{"name": name, "valueBoolean": value} for name, value in parameters.items()]
    values.append({"name": "Day", "valueDate": patient.day.isoformat()})
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "plan", "valueString": f"{pathway}-{table}"},
            {"name": "record", "resource": patient.record},
            {"name": "given", "resource": {"resourceType": "Parameters", "parameter": values}},
        ],
    }


@dataclass(frozen=True)
class Applied:
    """What `$apply` made of the four tables."""

    rows: frozenset[str]
    indicators: frozenset[str]
    drafts: frozenset[str]
    faults: tuple[str, ...]


PRIORITY = {"stat": "critical", "urgent": "warning", "routine": "info"}


def applied(plans: list[Json], pathway: str) -> Applied:
    """The actions that are left in the request groups, the orders that were made, and what went wrong."""
    rows, indicators, drafts, faults = set(), set(), set(), []
    for plan in plans:
        for each in plan.get("contained", ()):
            if each["resourceType"] == "OperationOutcome":
                faults += [issue.get("diagnostics", "") for issue in each["issue"]]
            for canonical in each.get("instantiatesCanonical", ()):
                if "/ActivityDefinition/" in canonical:
                    faults += [] if each["status"] == "draft" else [f"{each['id']} is {each['status']}"]
                    name = canonical.rpartition("/")[2].partition("|")[0]
                    drafts.add(name.removeprefix(f"{pathway}-"))
        for action in actions(plan):
            if "/" in action["title"]:
                rows.add(action["title"])
                if "priority" in action:
                    indicators.add(f"{action['title']} {PRIORITY[action['priority']]}")
    return Applied(frozenset(rows), frozenset(indicators), frozenset(drafts), tuple(faults))


def actions(plan: Json) -> list[Json]:
    """The actions of the rows, two levels below the request group."""
    groups = [each for each in plan.get("contained", ()) if each["resourceType"] == "RequestGroup"]
    top = [action for group in groups for action in group.get("action", ())]
    return [*top, *(inner for action in top for inner in action.get("action", ()))]
