"""Items 66, 68, 68b, 69, 129 and 131 of the protocol checklist: what is sent out, how, and what is not kept.

The single ways in which a call fails are in tests/fhir/test_outgoing.py, the addresses in test_outgoing_addresses.py.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
from pathlib import Path

from cds_service.fetching import Fetch, FetchFailed
from cds_service.http.addresses import Policy
from cds_service.http.client import HttpClient
from tests.endings import all_ended
from tests.fhir import loopback
from tests.fhir.going_out import bases
from tests.hooks.calling import PATH, body
from tests.hooks.living import b12, bundle, fhir_server, says_deficient
from tests.hooks.processes import SOON, call, environment, free_port, running, until
from tests.hooks.test_clients_serve import is_up, token
from tests.hooks.tokens import Gated, signed, write

FAR = 10.0**9
ALONE = {"store_url": "none"}  # nothing here is about the store
GRANTED = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "b"}


def here(server: loopback.Server) -> dict:
    return {"base": server.base, "private": True}


def ask(server: loopback.Server) -> dict:
    return body(prefetch=..., fhirServer=server.base, fhirAuthorization=GRANTED)


class Rebinding:
    """A name service that changes its mind: the first address once, the second one ever after."""

    def __init__(self, *addresses: str) -> None:
        self.left = list(addresses)
        self.asked = 0

    def __call__(self, _host: str, port: int, **_named: object) -> list:
        self.asked += 1
        address = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def why(fetch: Fetch, target: str = "Patient/1") -> str:
    try:
        fetch(target, FAR)
    except FetchFailed as failed:
        return failed.reason
    return "read"


def test_item_69_a_name_is_asked_once_for_each_connection_so_that_one_which_changes_its_mind_gains_nothing():
    with loopback.serving({"/fhir/Patient/1": loopback.fhir({}, Connection="close")}) as server:
        base = f"http://ehr.example.org:{server.server_port}/fhir"
        name = Rebinding("127.0.0.1", "169.254.169.254")
        outgoing = HttpClient(Policy(bases=bases(base)), name)
        fetch, _ = outgoing.fetch_for(base)
        assert why(fetch) == "read"
        assert name.asked == 1, "whoever asks twice may connect to what was not checked"
        assert "not allowed" in why(fetch)
        assert (name.asked, len(server.requests)) == (2, 1)
        outgoing.close()


def test_item_68b_a_proxy_of_the_environment_is_not_used_and_the_start_says_so(tmp_path: Path):
    with loopback.serving() as proxy, loopback.serving(fhir_server()) as server:
        port, path = free_port(), write(tmp_path, main={"fhir": [here(server)]})
        address = f"http://127.0.0.1:{proxy.server_port}"
        named = {"HTTP_PROXY": address, "http_proxy": address, "ALL_PROXY": address, "NO_PROXY": "", "no_proxy": ""}
        with running("serve", "--port", str(port), CDS_CLIENTS=str(path), CDS_STORE_URL="none", **named) as process:
            until(is_up(port), process)
            status, _, told = call(port, "POST", PATH, json.dumps(ask(server)).encode(), **token())
            process.send_signal(signal.SIGTERM)
            assert process.wait(SOON) == 0
            log = process.told()
        assert (status, bool(json.loads(told)["cards"])) == (200, True)
        assert server.requests
        assert not proxy.requests
    assert [line for line in log.splitlines() if '"event":"start"' in line and "names a proxy (all, http)" in line]


def test_item_68b_without_a_proxy_the_start_says_nothing_of_one(tmp_path: Path, monkeypatch):
    for name in environment():
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    assert "proxy" not in Gated(tmp_path, settings=ALONE).heard.text


def test_item_68_a_server_that_wants_another_registration_is_told_as_missing_data_not_as_an_empty_record(tmp_path):
    """Being registered with the FHIR server is the hospital's part. Where that fails, it must not look like no data."""
    refused = dict.fromkeys(fhir_server(), loopback.status(403))
    with loopback.serving(refused) as server:
        answer = Gated(tmp_path, settings=ALONE, main={"fhir": [here(server)]}).post(ask(server), signed())
    assert answer.status_code == 412
    assert "does not give access" in answer.text


def test_item_129_a_client_certificate_takes_no_tokens_place(tmp_path):
    """Mutual TLS is the proxy's: what it says about a client (headers) lets nobody in without a token."""
    said = {"X-Client-Cert": "MIIB", "X-SSL-Client-Verify": "SUCCESS", "X-Forwarded-Client-Cert": "Subject=CN=ehr"}
    gated = Gated(tmp_path, settings=ALONE)
    assert gated.post(body(), None, headers=said).status_code == 401
    assert gated.post(body(), signed(), headers=said).status_code in (200, 412)


def test_item_131_nothing_of_a_patient_is_kept_for_the_next_call(tmp_path):
    with loopback.serving(fhir_server()) as server:
        gated = Gated(tmp_path, settings=ALONE, main={"fhir": [here(server)]})
        assert says_deficient(gated.post(ask(server), signed()))
        first = len(server.requests)
        server.answers["/fhir/Observation"] = loopback.fhir(bundle(b12(900)))
        assert not says_deficient(gated.post(ask(server), signed()))
        assert len(server.requests) == 2 * first
        server.answers |= dict.fromkeys(server.answers, loopback.status(500))
        assert gated.post(ask(server), signed()).status_code == 412, "no answer of a minute ago stands in"


def test_item_131_two_calls_at_once_about_two_patients_are_not_mixed(tmp_path):
    """The low B12 of the one is never told of the other, however their calls interleave."""
    low = {"id": "pt-1", "value": 120}
    high = {"id": "pt-2", "value": 900}
    gated = Gated(tmp_path, settings=ALONE, main={"rate": 60_000})
    wrong: list[str] = []

    def about(patient: dict) -> None:
        name = {"reference": f"Patient/{patient['id']}"}
        told = body(
            context={"userId": "Practitioner/1", "patientId": patient["id"]},
            prefetch={
                "patient": {"resourceType": "Patient", "id": patient["id"], "birthDate": "1951-03-09"},
                "b12": bundle(b12(patient["value"], subject=name, id=f"b12-{patient['id']}")),
            },
        )
        for _ in range(15):
            answer = gated.post(told, signed())
            if (f"{low['value']} ng/L" in answer.text) != (patient is low):
                wrong.append(patient["id"])

    threads = [threading.Thread(target=about, args=(patient,)) for patient in (low, high) * 3]
    for thread in threads:
        thread.start()
    all_ended(threads)
    assert not wrong
