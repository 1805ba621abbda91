"""The protocol checklist, section 2, item by item: transport, discovery, request (items 1 to 37).

Templates and answers (38 to 48, 71 to 106) are in test_checklist_answers.py, prefetch states and fetching (47a, 49 to
61) in test_checklist_prefetch.py and test_checklist_fetching.py, FHIR access (62 to 70) in
test_checklist_fhir_access.py, single parts of cards in test_compose.py, bad input in test_invalid_requests.py.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from cds_service.cdshooks.registry import HOOKS, Context, Hook, registered
from cds_service.cdshooks.requests import log_name
from cds_service.cdshooks.schemas import load_schema
from cds_service.cli import main
from tests import book
from tests.hooks import living
from tests.hooks.calling import CONTEXT, HOOK_INSTANCE, Caller, body
from tests.hooks.invariants import empties
from tests.hooks.living import bundle, get, post, prefetch

TOKEN = "{{context.patientId}}"
VIGNETTES = book.book("uk-ng239")
RESPONSE = Draft202012Validator(load_schema("response"))


def templates(published: str = "full") -> dict[str, str]:
    return book.content().prefetch[published]


def entry(service: str = "b12-patient-view") -> dict[str, Any]:
    (only,) = [each for each in get("/cds-services").json["services"] if each["id"] == service]
    return only


def strict(text: str) -> Any:
    """JSON as RFC 8259 has it, no NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


# 2.1 Transport, JSON, general


def test_items_1_and_6_json_in_and_out_on_all_endpoints():
    for response in (get("/cds-services"), post(body()), post({}), get("/none"), post(body(prefetch={}))):
        assert response.content_type == "application/json"
        strict(response.text)


def test_item_9_unknown_elements_are_ignored():
    told = {"extension": {"com.epic.cdshooks.request.bpa-trigger-action": "60"}, "later": [None], "null": None}
    odd = body(context={**CONTEXT, "extra": {"a": 1}, "encounterId": 5}, prefetch=prefetch(other=bundle()), **told)
    assert post(odd).json["cards"] == post(body(prefetch=prefetch())).json["cards"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON;charset=UTF-8", "application/fhir+json"],
)
def test_item_10_json_with_a_charset_and_fhir_json_are_taken(content_type):
    response = Caller().post(body(), content_type=content_type)
    assert response.status_code == 200
    assert response.content_type == "application/json"


# 2.2 Discovery


def test_items_11_to_18_discovery_lists_the_service_as_its_schema_says():
    response = get("/cds-services")
    assert response.status_code == 200
    assert not list(Draft202012Validator(load_schema("discovery")).iter_errors(response.json))
    assert not list(empties(response.json))
    assert (entry()["hook"], entry()["id"]) == ("patient-view", "b12-patient-view")
    assert quote(entry()["id"], safe="") == entry()["id"]


def test_items_5_and_16_a_service_without_templates_has_no_prefetch():
    entry = HOOKS["patient-view"].listed("UK", {}, ("patient", "b12"))
    assert set(entry) == {"id", "hook", "title", "description", "usageRequirements"}


class DraftsAtWill(Context, kw_only=True):
    """Drafts that a client may leave out: a call without them could not be told from one about no order."""

    draft_orders: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"id": "Encounter Start"}, "is no id of a hook"),
        ({"context": dict}, "has a context that is no Context"),
        ({"context": DraftsAtWill}, "in a context that is no OrderContext, which says that they must be sent"),
        ({"title": " "}, "has no title"),
        ({"description": "Says x."}, "does not name its pathway"),
    ],
)
def test_a_hook_that_is_registered_by_half_keeps_the_service_from_starting(wrong, says):
    whole = {"id": "encounter-start", "context": Context, "title": "X", "description": "Says x. {pathway}"}
    registered(Hook(**whole))
    with pytest.raises(ValueError, match=says):
        Hook(**(whole | wrong))


def test_a_hook_is_registered_once():
    with pytest.raises(ValueError, match="registered twice"):
        registered(HOOKS["order-sign"], HOOKS["order-sign"])


def test_item_17_usage_requirements_name_the_required_keys():
    assert "patient and b12" in entry()["usageRequirements"]


def test_item_19_every_service_has_an_id_of_its_own():
    services = get("/cds-services").json["services"]
    assert len({each["id"] for each in services}) == len(services)


def test_items_20_21_and_24_the_extras_of_3_0_are_not_sent_to_clients_of_2_0():
    assert set(entry()) == {"hook", "title", "description", "id", "prefetch", "usageRequirements"}


def test_item_23_discovery_is_open_also_with_a_token():
    headers = {"Authorization": "Bearer eyJhbGciOiJFUzM4NCJ9.e30.x"}
    assert Caller().get("/cds-services", headers=headers).status_code == 200


def test_item_25_head_and_options_are_answered_and_post_is_405():
    caller = Caller()
    head = caller.open("HEAD", "/cds-services")
    assert (head.status_code, head.data) == (200, b"")
    assert caller.open("OPTIONS", "/cds-services").status_code == 200
    assert caller.post(body(), "/cds-services").status_code == 405


def test_item_26_keys_that_differ_are_survived_because_data_counts_by_its_type():
    sent = prefetch()
    renamed = {f"item{number}": told for number, told in enumerate(sent.values())}
    assert living.says_deficient(post(body(prefetch=renamed)))


def test_items_26_and_27_the_templates_are_printed_for_people_too():
    printed = CliRunner().invoke(main, ["prefetch"], catch_exceptions=False).output
    for key, template in templates().items():
        assert f"{key}\n  {template}\n" in printed
    assert "patient/Observation.read" in printed
    assert "patient/Observation.rs" in printed


# 2.3 Service call: request


def test_items_28_29_and_31_a_call_needs_hook_hook_instance_and_context_only():
    caller = Caller()
    assert caller.post(body(prefetch=...)).status_code == 200
    assert caller.answers.calls[0]["request"].prefetch == {}
    assert caller.post(body(prefetch=None, fhirServer=None, fhirAuthorization=None)).status_code == 200


def test_item_30_a_token_without_a_server_is_no_access():
    caller = Caller()
    granted = {"access_token": "abc", "token_type": "Bearer", "expires_in": 300, "scope": "x", "subject": "y"}
    assert caller.post(body(fhirAuthorization=granted)).status_code == 200
    assert caller.answers.calls[0]["fetch"] is None
    assert "token-without-fhir-server" in caller.log.getvalue()


@pytest.mark.parametrize("hook", ["order-select", "order-sign", "PATIENT-VIEW", "patient-view ", ""])
def test_item_32_another_hook_than_the_endpoints_is_400(hook):
    assert Caller().post(body(hook=hook)).status_code == 400


@pytest.mark.parametrize(
    "told", ["not-a-uuid", "x" * 128, "{7F0D2A0E-3A1B-4F0C-9A55-5D6B8F1F6A10}", "ü", " ", "pt-1 name\n"]
)
def test_item_33_any_hook_instance_up_to_128_characters_is_taken_and_logged_hashed(told):
    caller = Caller()
    assert caller.post(body(hookInstance=told)).status_code == 200
    assert log_name(told).startswith("sha256:")
    assert json.loads(caller.log.getvalue())["hookInstance"] == log_name(told)
    assert len(log_name(told)) == 23


def test_item_33_a_uuid_is_logged_as_it_is():
    assert log_name(HOOK_INSTANCE) == HOOK_INSTANCE
    assert log_name(HOOK_INSTANCE.upper()) == HOOK_INSTANCE.upper()


def test_item_34_patient_slash_id_is_stripped_with_a_warning():
    caller = Caller()
    assert caller.post(body(context={**CONTEXT, "patientId": "Patient/pt-1"})).status_code == 200
    assert caller.answers.calls[0]["request"].patient_id == "pt-1"
    assert caller.answers.calls[0]["request"].tokens["patientId"] == "pt-1"
    assert json.loads(caller.log.getvalue())["warnings"] == ["patient-id-with-type"]
    assert living.says_deficient(post(body(context={**CONTEXT, "patientId": "Patient/pt-1"}, prefetch=prefetch())))


def test_item_34_a_patient_with_another_id_is_412_and_nothing_is_used():
    response = post(body(prefetch=prefetch(patient={**living.PATIENT, "id": "pt-2"})))
    assert response.status_code == 412
    assert "pt-2" not in response.text


def test_item_34_resources_of_another_patient_are_not_used():
    other = living.b12(subject={"reference": "Patient/pt-2"}, id="other")
    high = living.b12(600)
    assert not living.says_deficient(post(body(prefetch=prefetch(b12=bundle(other, high)))))
    assert living.missing(post(body(prefetch=prefetch(b12=bundle(other))))) == ["b12"], "a search that brought no other"


def test_item_35_long_ids_are_taken():
    long = "e" * 194
    sent = prefetch(
        patient={**living.PATIENT, "id": long}, b12=bundle(living.b12(subject={"reference": f"Patient/{long}"}))
    )
    assert living.says_deficient(post(body(context={**CONTEXT, "patientId": long}, prefetch=sent)))


@pytest.mark.parametrize(
    "number", ["1E+9999999", "1e-9999999", "1" * 400, "0." + "0" * 400 + "1", "-1e308", "12345678901234567"]
)
def test_item_36_an_absurd_number_is_ignored_and_never_printed(number):
    sent = json.dumps(body(prefetch=prefetch(b12=bundle(living.b12(value="HERE")))), default=str)
    response = post(sent.replace('"HERE"', number).encode())
    assert response.status_code in (200, 412)
    assert len(response.data) < 20_000
    assert response.status_code == 412 or not living.medicines(response)


def test_item_37_optional_context_fields_of_later_versions_are_normal():
    assert Caller().post(body(context={**CONTEXT, "locationId": "Location/1", "list": [1]})).status_code == 200


def test_items_36_and_132_nothing_of_the_patient_is_logged():
    caller = Caller()
    caller.post(body(context={"userId": "Practitioner/sEcReT", "patientId": "sEcReT"}, prefetch={"sEcReT": "sEcReT"}))
    caller.post(body(context={"userId": 1, "patientId": "sEcReT ?"}))
    assert "sEcReT" not in caller.log.getvalue()
