"""A few patients to try the server with: those that a person names, else some that the server shows by itself.

Their ids stay in this process: nothing that is printed holds one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..fhir.gathering import templates
from ..fhir.reading.reading import plain_reference
from ..fhir.resources import Resource, listed
from .access import Reply, Server

USABLE = re.compile(r"[^\s/?#\x00-\x1f]{1,1024}")
PATIENT = re.compile(r"patient=\{\{[^}]*\}\}&?")
NOBODY = "b12-cds-doctor-nobody"  # an id that no patient has


@dataclass(frozen=True, slots=True)
class Sample:
    """The patients of this examination. `failures` says why the server shows none by itself."""

    ids: tuple[str, ...] = field(default=(), repr=False)
    failures: tuple[str, ...] = ()
    refused: bool = False  # every question was answered with 401


def choose_patients(server: Server, published: Mapping[str, str], given: Iterable[str]) -> Sample:
    """Patients with a B12 result first, for these show most."""
    wanted = server.limits.patients
    named = tuple(dict.fromkeys(each for each in given if USABLE.fullmatch(each)))
    if named:
        return Sample(named[:wanted])
    by_result = server.ask(without_patient(published["b12"]))
    found = subjects(by_result.resources)
    by_type = Reply()
    if len(found) < wanted:
        by_type = server.ask(f"Patient?_count={wanted}")
        found += [each.id for each in by_type.resources if each.resource_type == "Patient" and each.id]
    usable = tuple(dict.fromkeys(each for each in found if USABLE.fullmatch(each)))
    failures = tuple(dict.fromkeys(each.failure for each in (by_result, by_type) if each.failure))
    return Sample(usable[:wanted], failures, by_result.status == 401 and by_type.status == 401)


def subjects(resources: Iterable[Resource]) -> list[str]:
    """The ids of the patients that these resources are about, each once, in their order."""
    names: dict[str, None] = {}
    for resource in resources:
        for reference in (*listed(resource.subject), *listed(resource.patient)):
            kind, _, name = plain_reference(reference.reference or "").rpartition("/")
            if kind == "Patient" and name:
                names[name] = None
    return list(names)


def without_patient(template: str) -> str:
    """The same search over all patients, which some servers answer and some refuse. To sort all would be a burden."""
    return PATIENT.sub("", template).replace("&_sort=-date", "").rstrip("?&")


def context_of(patient: str) -> dict[str, str]:
    """The context of a hook call about this patient."""
    return {"patientId": patient, "userId": "Practitioner/b12-cds-doctor"}


def query_of(template: str, patient: str) -> str:
    """A template as it is asked for this patient."""
    return templates.fill(template, context_of(patient)) or ""
