"""The second tab: the same call about a patient of a FHIR server that the operator allows, fetched by the service.

A patient is searched by name and chosen from what was found; nothing is prefetched. The only access to the server is
that of every call (`outgoing`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
from flask import render_template, request

from cds_service.cdshooks.bundle_call import resource_of
from cds_service.fetching import Fetch, FetchFailed

from .answer_view import AnswerView
from .client import PageCall, PageClient
from .frame import sent_form
from .request_json import Json

MOST = 20
LONGEST_NAME, LONGEST_BASE = 100, 500
NOT_FHIR = "the server answered, but not with a FHIR Bundle of Patients"


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as a FHIR server writes it: free text, which a page shows escaped, and never logged."""

    id: str
    name: str
    born: str
    sex: str


@dataclass(frozen=True, slots=True)
class FhirPage:
    """The views of the tab. `bases`: the FHIR bases that the operator allows."""

    client: PageClient
    bases: tuple[str, ...]

    def start(self) -> str:
        """GET /fhir"""
        return self.page(base=self.bases[0] if self.bases else "")

    def search(self) -> str:
        """POST /fhir: patients of that name."""
        form = sent_form()
        base, name = form.get("base", "").strip()[:LONGEST_BASE], form.get("name", "").strip()[:LONGEST_NAME]
        try:
            people = list(people_of(self.read(base, f"Patient?name={quote(name, safe='')}&_count={MOST}")))
        except FetchFailed as error:
            return self.page(base, name, fault=str(error))
        return self.page(base, name, people=people)

    def cards(self) -> str:
        """POST /fhir/cards: the answer about one patient, everything fetched by the service."""
        form = sent_form()
        base, patient = form.get("base", "").strip()[:LONGEST_BASE], form.get("patient", "")[:100]
        pathway = form.get("pathway", self.client.pathway)
        why = self.client.access(base)[1]
        if why:
            return self.page(base, form.get("name", ""), fault=why)
        request_json = {
            "hook": "patient-view",
            "hookInstance": str(uuid4()),
            "fhirServer": base,
            "context": {"userId": "Practitioner/example", "patientId": patient},
        }
        answered = self.client.answer(
            PageCall(msgspec.json.encode(request_json), pathway, token_hex(8), remembers=False)
        )
        view = AnswerView(answered, request.host_url)
        return self.page(base, form.get("name", ""), view=view, answered=answered, person=form.get("person", "")[:200])

    def read(self, base: str, target: str) -> bytes:
        """What the server has at `target`; FetchFailed says why not."""
        fetch, why = self.client.access(base)
        if fetch is None:
            raise FetchFailed(why)
        config = self.client.config(self.client.pathway)
        with config.limit(base, fetch) as limited:
            return read_with(limited or fetch, target, config.default_seconds)

    def page(self, base: str, name: str = "", **given: Any) -> str:
        return render_template("fhir.html", base=base, name=name, bases=self.bases, pathways=self.client.pathways,
                               today=self.client.today(), here="fhir", **given)  # fmt: skip


def read_with(fetch: Fetch, target: str, seconds: float) -> bytes:
    return fetch(target, time.monotonic() + seconds)


def people_of(body: bytes) -> Iterator[Person]:
    """The Patients of a searchset, however oddly written."""
    try:
        bundle = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise FetchFailed(NOT_FHIR) from None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise FetchFailed(NOT_FHIR)
    entries = bundle.get("entry")
    for resource in map(resource_of, entries if isinstance(entries, list) else ()):
        if resource.get("resourceType") == "Patient" and isinstance(resource.get("id"), str):
            yield person_of(resource)


def person_of(patient: Json) -> Person:
    """Who a Patient is, however oddly it is written: what cannot be read is empty."""
    return Person(
        text(patient.get("id")), patient_name(patient), text(patient.get("birthDate")), text(patient.get("gender"))
    )


def patient_name(patient: Json) -> str:
    """A name to choose by: the first that has any parts."""
    names = patient.get("name")
    for each in names if isinstance(names, list) else ():
        if isinstance(each, dict):
            given = each.get("given")
            parts = [*(given if isinstance(given, list) else ()), each.get("family")]
            if found := " ".join(text(part) for part in parts if part) or text(each.get("text")):
                return found
    return "(no name)"


def text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""
