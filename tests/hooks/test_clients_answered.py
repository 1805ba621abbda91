"""How each client is answered: its FHIR servers (items 62 to 70, 57, 58), pathway, mode, time, and cards."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from cds_service.http.addresses import Policy, parse_base
from cds_service.store.pseudonyms import new_line
from tests.endings import LATE
from tests.fhir import loopback
from tests.hooks.calling import PATH, body, outcome
from tests.hooks.living import b12, bundle, fhir_server, missing, observation, prefetch, problem, says_deficient
from tests.hooks.tokens import PUBLIC, Gated, claims, signed
from tests.store.databases import until

TOKEN = "tOkEn-nobody-may-see"
CALL = body(prefetch=prefetch())


def granted(**changed: Any) -> dict[str, Any]:
    told = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "b"}
    return {**told, **changed}


def without_prefetch(server: loopback.Server, base: str = "", authorization: Any = None) -> dict[str, Any]:
    return body(prefetch=..., fhirServer=base or server.base, fhirAuthorization=granted(**(authorization or {})))


def here(server: loopback.Server, **changed: Any) -> dict[str, Any]:
    return {"base": server.base, "private": True, **changed}


def nothing_read(gated: Gated, server: loopback.Server, request: dict[str, Any], why: str, **told: Any) -> None:
    """The keys are missing, nobody was called, and why is said to the client and in the log."""
    answer = gated.post(request, signed(claims(**told)))
    assert missing(answer) == ["patient", "b12", "fhirServer"]
    assert outcome(answer)[2]["details"]["text"] == f"fhirServer: was not called: {why}"
    assert not server.requests
    assert gated.heard.events("call")[-1]["fhirAccess"] == why


@pytest.fixture
def server():
    with loopback.serving(fhir_server()) as running:
        yield running


def test_items_62_and_65_the_token_goes_to_the_base_of_the_client(tmp_path, server):
    gated = Gated(tmp_path, main={"fhir": [here(server)]})
    assert says_deficient(gated.post(without_prefetch(server), signed()))
    assert {each.headers["Authorization"] for each in server.requests} == {f"Bearer {TOKEN}"}
    assert TOKEN not in gated.heard.text


ANOTHER = "fhirAuthorization is for another patient"


def test_a_fhir_server_that_is_not_named_or_that_was_called_is_not_excused(tmp_path, server):
    gated = Gated(tmp_path, main={"fhir": [here(server)]})
    assert missing(gated.post(body(prefetch=...), signed())) == ["patient", "b12"]
    server.answers = dict.fromkeys(server.answers, loopback.status(500))
    assert missing(gated.post(without_prefetch(server), signed())) == ["patient", "b12"]
    assert server.requests


def test_item_64_a_token_for_another_patient_is_not_used(tmp_path, server):
    gated = Gated(tmp_path, main={"fhir": [here(server, anonymous=True)]})
    nothing_read(gated, server, without_prefetch(server, authorization={"patient": "pt-2"}), ANOTHER)
    assert "token-for-another-patient" in gated.heard.events("call")[0]["warnings"]


@pytest.mark.parametrize("status", [200, 401, 500])
def test_item_66_neither_token_is_in_a_log_or_an_answer(tmp_path, server, status):
    gated = Gated(tmp_path, main={"fhir": [here(server)]})
    if status != 200:
        server.answers = dict.fromkeys(server.answers, loopback.status(status))
    own = signed()
    told = gated.post(without_prefetch(server), own).text + gated.heard.text
    assert server.requests
    assert TOKEN not in told
    assert own[-40:] not in told
    assert all(own not in str(each.headers) for each in server.requests), "the client's token is for us alone"


def test_item_57_without_a_token_only_where_that_is_allowed(tmp_path, server):
    anonymous = body(prefetch=..., fhirServer=server.base)
    nothing_read(Gated(tmp_path, main={"fhir": [here(server)]}), server, anonymous, "no token was passed")
    gated = Gated(tmp_path, main={"fhir": [here(server, anonymous=True)]})
    assert says_deficient(gated.post(anonymous, signed()))
    assert not any("Authorization" in each.headers for each in server.requests)


def test_items_58_and_69_a_base_may_lie_under_the_one_that_is_written_down_and_nowhere_else(tmp_path, server):
    above = here(server, base=server.base.removesuffix("/fhir"))
    assert says_deficient(Gated(tmp_path, main={"fhir": [above]}).post(without_prefetch(server), signed()))
    server.requests.clear()
    narrow = Gated(tmp_path, main={"fhir": [here(server, base=server.base + "/r4")]})
    for base in (server.base, server.base + "/r4-evil", server.base + "/r4/../x", "http://169.254.169.254/latest"):
        why = "is not an address that can be called" if ".." in base else "is not among the client's FHIR bases"
        nothing_read(narrow, server, without_prefetch(server, base), f"the fhirServer {why}")


def test_item_69_no_base_that_the_settings_or_another_client_has(tmp_path, server):
    other = {"iss": "https://other.example.org", "fhir": [here(server)]}
    gated = Gated(tmp_path, main={}, other=other, settings={"fhir_bases": server.base})
    nothing_read(gated, server, without_prefetch(server), "the fhirServer is not among the client's FHIR bases")
    assert says_deficient(gated.post(without_prefetch(server), signed(claims(iss=other["iss"]))))


def test_item_69_a_base_is_bound_to_its_tenant(tmp_path, server):
    wide = here(server, base=server.base.removesuffix("/fhir"))
    gated = Gated(tmp_path, main={"tenants": ["n", "s"], "fhir": [here(server, tenants=["n"]), wide]})
    why = "the fhirServer is not for the caller's tenant"
    nothing_read(gated, server, without_prefetch(server), why, tenant="s")
    assert says_deficient(gated.post(without_prefetch(server), signed(claims(tenant="n"))))


def test_item_69_this_service_is_no_fhir_server_of_its_own(tmp_path, server):
    gated = Gated(tmp_path, main={"fhir": [here(server)]})
    port = {"SERVER_PORT": str(server.server_port)}
    answer = gated.post(without_prefetch(server), signed(), environ_overrides=port)
    assert missing(answer) == ["patient", "b12", "fhirServer"]
    assert not server.requests


def test_item_70_a_token_that_has_expired_is_not_used(tmp_path, server):
    gated = Gated(tmp_path, main={"fhir": [here(server)]})
    nothing_read(gated, server, without_prefetch(server, authorization={"expires_in": 0}), "the token has expired")


def test_item_69_an_unencrypted_base_on_another_machine_gets_no_token(tmp_path):
    gated = Gated(tmp_path, main={"fhir": [{"base": "http://hapi.example.org/fhir", "private": True}]})
    request = body(prefetch=..., fhirServer="http://hapi.example.org/fhir", fhirAuthorization=granted())
    assert missing(gated.post(request, signed())) == ["patient", "b12", "fhirServer"]
    assert gated.heard.events("call")[0]["fhirAccess"] == "a token is not sent without encryption"


PRIVATE = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
           "198.18.0.1", "224.0.0.1", "::1", "fe80::1", "fd00::1", "fec0::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
           "2002:a00:1::1", "2001:0:a00:1::", "::10.0.0.1", "ff0e::1", "2001:db8::1"]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_item_69_a_name_that_leads_into_a_private_network_is_not_connected_to(address):
    base = parse_base("https://ehr.example.org/fhir")
    assert not Policy(bases=(base,), private=False).may_connect("ehr.example.org", 443, address)


def test_item_69_a_name_that_leads_out_into_the_world_is():
    policy = Policy(bases=(parse_base("https://ehr.example.org/fhir"),), private=False)
    assert all(policy.may_connect("ehr.example.org", 443, address) for address in ("93.184.215.14", "2606:2800:21f::1"))
    assert not policy.may_connect("other.example.org", 443, "93.184.215.14")
    assert not policy.may_connect("localhost", 443, "127.0.0.1")


def test_promise_1_silent_mode_sends_no_card_and_no_error_but_decides_and_notes(tmp_path):
    gated = Gated(tmp_path, main={"mode": "silent"})
    for request in (CALL, body(prefetch=...)):
        answer = gated.post(request, signed())
        assert (answer.status_code, answer.data) == (200, b'{"cards":[]}')
    judged, lacking = gated.heard.events("call")
    assert (judged["silent"], judged["status"], judged["cards"] > 0) == (True, 200, True)
    assert (lacking["silent"], lacking["status"]) == (True, 412)
    assert gated.post({"hook": 1}, signed()).status_code == 400


def test_item_55_what_is_missing_is_a_412_or_a_card_by_client(tmp_path):
    other = {"iss": "https://other.example.org", "on_missing": "card"}
    gated = Gated(tmp_path, main={}, other=other)
    request = body(prefetch=prefetch(b12=...))
    assert missing(gated.post(request, signed())) == ["b12"]
    cards = gated.post(request, signed(claims(iss=other["iss"]))).json["cards"]
    assert [card["indicator"] for card in cards] == ["info"]


def test_items_79_and_87_cards_are_laid_out_as_the_client_wants_them(tmp_path):
    many = prefetch(conditions=bundle(problem()), bloodCount=bundle(observation("718-7", 62, "g/L")))
    few = {"iss": "https://other.example.org", "max_cards": 1, "max_suggestions": 1}
    few["selection_behaviour"] = "at-most-one"
    gated = Gated(tmp_path, main={}, other=few)
    ours = gated.post(body(prefetch=many), signed()).json["cards"]
    theirs = gated.post(body(prefetch=many), signed(claims(iss=few["iss"]))).json["cards"]
    assert len(ours) > len(theirs) == 1
    assert [len(card["suggestions"]) for card in theirs] == [1]
    assert {card["selectionBehavior"] for card in theirs} == {"at-most-one"}
    assert not {card["uuid"] for card in ours} & {card["uuid"] for card in theirs}, "ids are of one client"


def test_each_client_has_its_pathway_and_its_own_catalogue(tmp_path):
    us = {"iss": "https://us.example.org", "pathway": "us-aafp"}
    gated = Gated(tmp_path, main={"pathway": "uk-ng239"}, us=us)
    (uk_card, *_), (us_card, *_) = (
        gated.post(CALL, signed(claims(iss=iss))).json["cards"] for iss in (claims()["iss"], us["iss"])
    )
    assert "NICE" in uk_card["summary"]
    assert "NICE" not in us_card["summary"]
    aud = PUBLIC + "/cds-services"
    listed = [gated.open("GET", "/cds-services", signed(claims(aud=aud, iss=iss))).json["services"][0]["description"]
              for iss in (claims()["iss"], us["iss"])]  # fmt: skip
    assert listed[0] != listed[1]
    assert "NG239" in listed[0]


def test_a_clients_site_folder_is_laid_over_its_content_alone_and_shows_in_its_catalogue(tmp_path):
    sets = tmp_path / "north" / "value-sets"
    sets.mkdir(parents=True)
    line = "https://north.example.org/lab,B12X,Vitamin B12,mass,Local laboratory\n"
    (sets / "lab-b12.csv").write_text("system,code,display,use,source\n" + line)
    north = {"iss": "https://north.example.org", "site": "north"}
    gated = Gated(tmp_path, main={}, north=north)
    local = {**b12(), "code": {"coding": [{"system": "https://north.example.org/lab", "code": "B12X"}]}}
    request = body(prefetch=prefetch(b12=bundle(local)))
    assert says_deficient(gated.post(request, signed(claims(iss=north["iss"]))))
    assert not says_deficient(gated.post(request, signed()))
    aud = PUBLIC + "/cds-services"
    theirs = gated.open("GET", "/cds-services", signed(claims(aud=aud, iss=north["iss"]))).text
    assert "B12X" in theirs
    assert "B12X" not in gated.open("GET", "/cds-services", signed(claims(aud=aud))).text
    assert "B12X" not in gated.open("GET", "/cds-services").text


def test_the_only_clients_catalogue_is_everybodys(tmp_path):
    gated = Gated(tmp_path, main={"pathway": "us-aafp"})
    assert "NG239" not in gated.open("GET", "/cds-services").text


def test_item_7_6_the_time_for_a_call_is_the_clients(tmp_path, server):
    server.answers = dict.fromkeys(server.answers, loopback.never)
    gated = Gated(tmp_path, main={"fhir": [here(server)], "seconds": {"patient-view": 0.3}})
    asked = time.monotonic()
    assert missing(gated.post(without_prefetch(server), signed())) == ["patient", "b12"]
    assert time.monotonic() - asked < LATE  # the server hangs for much longer


def test_demo_mode_asks_nobody_for_a_token_and_takes_no_notice_of_clients(tmp_path):
    gated = Gated(tmp_path, settings={"demo": True})
    local = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000"}
    assert gated.post(CALL, None, environ_overrides=local).status_code == 200
    assert gated.post(CALL, signed(), environ_overrides={**local, "REMOTE_ADDR": "10.0.0.1"}).status_code == 403
    assert PATH in gated.open("GET", "/", environ_overrides=local).text


def test_what_a_tenant_overrode_is_shown_to_the_other_tenant_of_the_same_client(tmp_path):
    """The same ids of a patient and a user mean other people there."""
    (tmp_path / "store.keys").write_text(new_line("k"))
    kept = {"store_url": f"sqlite:///{tmp_path}/store.sqlite", "store_keys": tmp_path / "store.keys"}

    def cards(tenant: str) -> list[dict[str, Any]]:
        call = body(hookInstance=str(uuid4()), prefetch=prefetch())
        return gated.post(call, signed(claims(tenant=tenant))).json["cards"]

    with closing(Gated(tmp_path, main={"tenants": ["n", "s"]}, settings=kept)) as gated:
        given = [{"card": each["uuid"], "outcome": "overridden"} for each in cards("n")]
        signed_for = signed(claims(tenant="n", aud=f"{PUBLIC}{PATH}/feedback"))
        assert gated.post({"feedback": given}, signed_for, f"{PATH}/feedback").status_code == 200
        until(lambda: [each["indicator"] for each in cards("n")] == ["info"])  # one line is left of the warning
        assert [each["indicator"] for each in cards("s")] == ["warning"]
