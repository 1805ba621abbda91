"""`b12-cds conform --fhir-listen`: how a service uses its access is seen by a FHIR server that the check itself is."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cds_service.app import create_app
from cds_service.cdshooks.registry import HOOKS
from cds_service.conform.calls import Service, Signer
from cds_service.conform.checklist import NOT_TRIED, PASS, Result
from cds_service.conform.checklist import tried as tried_item
from cds_service.conform.fhir_server import CHECKS, NO_SEARCH, NO_SERVER, PAGES_ELSEWHERE, WHOLE, FhirServer, listening
from cds_service.examples.fixture_patients import patients_folder, read_patient, resources
from cds_service.http.client import Outgoing, Reply
from cds_service.settings import Settings
from tests.conform.trying import CHECKLIST, Once, demo, sending, under_trial
from tests.conform.trying import NOW as DEMO_NOW
from tests.hooks.tokens import ISS, NOW, PUBLIC, key, write

ITEMS = {each.item for each in CHECKS}
OURS = Once(demo)


@pytest.fixture(scope="module")
def fhir() -> Iterator[FhirServer]:
    with listening(
        ("127.0.0.1", 0), read_patient(patients_folder() / "neuro-metformin.json", DEMO_NOW.date())
    ) as server:
        yield server


def results(service: Service) -> dict[str, Result]:
    """What became of the items that need a FHIR server."""
    return {
        item.number: tried_item(item, [check for check in CHECKS if check.item == item.number], service)
        for item in CHECKLIST
        if item.number in ITEMS
    }


def failed(service: Service) -> dict[str, tuple[str, ...]]:
    return {number: each.reasons for number, each in results(service).items() if each.outcome == "fail"}


def test_our_own_service_passes_each(fhir: FhirServer, tmp_path: Path):
    client = {"fhir": [{"base": fhir.base, "private": True}], "seconds": dict.fromkeys(HOOKS, 6)}
    settings = Settings(clients=write(tmp_path, main=client), store_url="none")
    app = create_app(settings, clock=lambda: datetime.fromtimestamp(NOW, UTC))
    signer = Signer(ISS, key(), "ES384", lambda: NOW)
    found = results(under_trial(sending(app), signer, url=PUBLIC, origin="", fhir=fhir))
    assert {number: (each.outcome, each.reasons) for number, each in found.items() if each.outcome != PASS} == {}
    assert set(found) == ITEMS == {"54", "55", "58", "62", "64", "65", "66", "67", "69"}
    assert "what is stored, logged or traced is not seen" not in str(found["54"].reasons)
    assert found["66"].reasons == ("seen at the FHIR server: no other call uses the token, and no address holds it",)


def test_without_a_fhir_server_nothing_of_it_is_said_to_be_tried():
    found = results(under_trial(OURS.broken(), origin=""))
    assert {(each.outcome, each.reasons) for each in found.values()} == {(NOT_TRIED, (NO_SERVER,))}


@dataclass
class Careless:
    """A service that answers as ours does with prefetch, and reads with its access in a way that a test breaks."""

    reads: bool = True
    searches: bool = True
    any_base: bool = False
    any_patient: bool = False
    bare: bool = False  # one call more, without the token
    in_address: bool = False
    keeps: bool = False  # uses the first token for everything
    repeats: bool = False
    follows: bool = False  # pages and redirects, wherever they lead
    trusts: bool = False  # answers as if what could not be had were not there
    scope: str = ""  # reads with this scope alone
    base: str = ""
    first: str = ""

    def __call__(self, request: Outgoing, deadline: float) -> Reply:
        """What `Send` is."""
        called = json.loads(request.body) if request.method == "POST" and request.body else None
        usual = OURS.broken()
        if not isinstance(called, dict) or "fhirServer" not in called or "prefetch" in called:
            return usual(request, deadline)
        access = called.get("fhirAuthorization", {})
        token = self.first if self.keeps and self.first else access.get("access_token", "")
        self.first = self.first or token
        had = token and self.may_read(called, access) and self.read(called, token)
        if not had:
            return Reply(200, {}, b'{"cards": []}') if self.trusts else Reply(412, {}, b"{}")
        whole = Outgoing(request.method, request.target, WHOLE_REQUESTS[called["hook"]], request.headers)
        reply = usual(whole, deadline)
        return Reply(reply.status, {"x-token": token}, reply.body) if self.repeats else reply

    def may_read(self, called: dict, access: dict) -> bool:
        if not self.reads or (self.scope and access.get("scope") != self.scope):
            return False
        if not self.any_patient and access.get("patient") not in (None, called["context"]["patientId"]):
            return False
        return self.any_base or called["fhirServer"] == self.base

    def read(self, called: dict, token: str) -> bool:
        url = f"{called['fhirServer']}/Patient/{called['context']['patientId']}"
        if self.bare:
            self.opened(url, "")
        search = f"{called['fhirServer']}/Observation?patient={called['context']['patientId']}"
        read = self.opened(f"{url}?token={token}" if self.in_address else url, token)
        return read and (not self.searches or self.opened(search, token))

    def opened(self, url: str, token: str) -> bool:
        opener = urllib.request.build_opener(*([] if self.follows else [Stays]))
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        try:
            with opener.open(asked, timeout=2) as answer:
                found = json.loads(answer.read())
        except OSError:
            return False
        pages = [each["url"] for each in found.get("link", ()) if each["relation"] == "next"]
        if pages and self.follows and url.startswith(self.base):
            self.opened(pages[0], token)
        return True


class Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: object) -> None:
        return None


WHOLE_REQUESTS: dict[str, bytes] = {}


@pytest.fixture(autouse=True, scope="module")
def whole_requests() -> None:
    service = under_trial(OURS.broken(), origin="")
    WHOLE_REQUESTS.update({entry["hook"]: service.as_sent(entry) for entry in service.some()})


CARELESS = {
    "careful": ({}, set()),
    "never reads": ({"reads": False}, {"54", "62", "67"}),
    "reads any base": ({"any_base": True}, {"69"}),
    "uses a token for somebody else": ({"any_patient": True}, {"64"}),
    "one call without the token": ({"bare": True}, {"65"}),
    "the token in an address": ({"in_address": True}, {"66"}),
    "one token for all": ({"keeps": True}, {"65", "66"}),
    "repeats the token": ({"repeats": True}, {"66"}),
    "follows pages and redirects": ({"follows": True}, {"58", "69"}),
    "takes failures for nothing": ({"trusts": True}, {"55"}),
    "goes by scope": ({"scope": "patient/Patient.read patient/Observation.read patient/Condition.read "
                                "patient/MedicationRequest.read"}, {"67"}),
}  # fmt: skip


@pytest.mark.parametrize("what", CARELESS)
def test_a_careless_service_fails_where_it_is_careless(what: str, fhir: FhirServer):
    broken, items = CARELESS[what]
    found = failed(under_trial(Careless(base=fhir.base, **broken), origin="", fhir=fhir))
    assert set(found) == items, found


def test_pages_of_a_service_that_searches_nothing_are_not_tried(fhir: FhirServer):
    found = results(under_trial(Careless(base=fhir.base, searches=False), origin="", fhir=fhir))
    assert (found["58"].outcome, found["58"].reasons) == (NOT_TRIED, (NO_SEARCH,))


def test_the_server_answers_only_who_brings_a_token_of_its_own(fhir: FhirServer):
    for token in ("", "Bearer guessed"):
        asked = urllib.request.Request(f"{fhir.base}/Patient/neuro-metformin", headers={"Authorization": token})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(asked)


def get(fhir: FhirServer, path: str, token: str, form: bytes | None = None) -> dict:
    asked = urllib.request.Request(f"{fhir.base}/{path}", form, {"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked) as answer:
        return json.loads(answer.read())


def test_it_searches_by_patient_and_code_by_get_and_by_post(fhir: FhirServer):
    token = fhir.grant(WHOLE)
    (one, *_) = (each for each in resources(fhir.record) if each["resourceType"] == "Observation")
    query = f"patient=neuro-metformin&code=http%3A%2F%2Floinc.org%7C{one['code']['coding'][0]['code']}%2Cother"
    found = get(fhir, f"Observation?{query}", token)
    assert 0 < found["total"] < get(fhir, "Observation?patient=neuro-metformin", token)["total"]
    assert get(fhir, "Observation/_search", token, query.encode())["total"] == found["total"]
    assert get(fhir, "Observation?patient=somebody", token)["total"] == 0
    assert get(fhir, "metadata", token)["fhirVersion"] == "4.0.1"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(fhir, "Patient/somebody", token)
    (link,) = [
        each["url"]
        for each in get(fhir, f"Observation?{query}", fhir.grant(PAGES_ELSEWHERE))["link"]
        if each["relation"] == "next"
    ]
    assert not link.startswith(fhir.base)
