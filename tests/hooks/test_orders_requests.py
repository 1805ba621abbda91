"""order-select and order-sign as services: discovery, what a call must hold, and what it is told when it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cds_service.cdshooks.faults import BadRequest
from cds_service.cdshooks.registry import HOOKS
from cds_service.cdshooks.requests import read_request
from cds_service.cdshooks.schemas import load_schema, schema_of
from tests.hooks.calling import CONTEXT, SECRET, Caller, body, one_issue, outcome
from tests.hooks.living import get, post
from tests.hooks.ordering import FOLATE_FIRST, call, draft, drafts, select, sign, topics

PATIENT_VIEW, ORDER_SELECT, ORDER_SIGN = "b12-patient-view", "b12-order-select", "b12-order-sign"

SELECT = {**CONTEXT, "selections": [], "draftOrders": {}}


def listed() -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in get("/cds-services").json["services"]}


def test_item_19_three_services_are_listed_each_with_an_id_of_its_own():
    assert {name: each["hook"] for name, each in listed().items()} == {
        PATIENT_VIEW: "patient-view",
        ORDER_SELECT: "order-select",
        ORDER_SIGN: "order-sign",
    }
    assert not list(Draft202012Validator(load_schema("discovery")).iter_errors(get("/cds-services").json))


def test_item_40_the_templates_are_the_same_and_name_neither_selections_nor_draft_orders():
    services = listed()
    assert services[ORDER_SELECT]["prefetch"] == services[ORDER_SIGN]["prefetch"] == services[PATIENT_VIEW]["prefetch"]
    templates = "".join(services[ORDER_SELECT]["prefetch"].values())
    assert "selections" not in templates and "draftOrders" not in templates
    assert "draftOrders" in services[ORDER_SELECT]["usageRequirements"]


def test_the_first_page_names_every_service():
    page = get("/").text
    assert all(f"/cds-services/{name}" in page for name in (PATIENT_VIEW, ORDER_SELECT, ORDER_SIGN))


MISTAKES = {
    "selections missing": ({"userId": "u", "patientId": "pt-1", "draftOrders": {}}, "context.selections", "required"),
    "selections null": ({**SELECT, "selections": None}, "context.selections", "type"),
    "selections a text": ({**SELECT, "selections": SECRET}, "context.selections", "type"),
    "a selection that is a number": ({**SELECT, "selections": ["a/b", 7]}, "context.selections.1", "type"),
    "a selection that is an object": ({**SELECT, "selections": [{"x": SECRET}]}, "context.selections.0", "type"),
    "userId missing": ({**{k: v for k, v in SELECT.items() if k != "userId"}}, "context.userId", "required"),
    "patientId missing": ({**{k: v for k, v in SELECT.items() if k != "patientId"}}, "context.patientId", "required"),
    "draftOrders a text": ({**SELECT, "draftOrders": SECRET}, "context.draftOrders", "type"),
    "draftOrders a list": ({**SELECT, "draftOrders": [SECRET]}, "context.draftOrders", "type"),
}


@pytest.mark.parametrize(("context", "path", "keyword"), MISTAKES.values(), ids=MISTAKES.keys())
def test_item_34_a_faulty_context_is_400_told_by_path_and_never_by_value(context, path, keyword):
    response = call(body(hook="order-select", context=context))
    assert one_issue(response, 400)["expression"] == [path]
    assert SECRET not in response.text
    with pytest.raises(BadRequest) as error:
        read_request(json.dumps(body(hook="order-select", context=context)).encode(), "order-select")
    assert [(fault.path, fault.keyword) for fault in error.value.faults] == [(path, keyword)]


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
@pytest.mark.parametrize("told", [{}, {"draftOrders": None}], ids=["absent", "null"])
def test_draft_orders_absent_altogether_is_400_with_the_missing_scopes_as_explanation(hook, told):
    response = call(body(hook=hook, context={**CONTEXT, "selections": [], **told}))
    text = one_issue(response, 400)["details"]["text"]
    assert text.startswith("context.draftOrders: is missing; ")
    assert "scopes for unsigned orders" in text


def test_draft_orders_that_are_absent_are_counted_in_the_log_and_others_are_not():
    caller = Caller()
    caller.post(body(hook="order-sign"), path=f"/cds-services/{ORDER_SIGN}")
    caller.post(body(hook="order-sign", context={}), path=f"/cds-services/{ORDER_SIGN}")
    caller.post(body(hook="order-sign", context={**CONTEXT, "draftOrders": 5}), path=f"/cds-services/{ORDER_SIGN}")
    events = [json.loads(line) for line in caller.log.getvalue().splitlines()]
    counted = [each for each in events if each["event"] == "no-draft-orders"]
    assert [each["service"] for each in counted] == [ORDER_SIGN, ORDER_SIGN]


def test_selections_are_not_asked_of_order_sign():
    assert topics(sign(drafts(draft()))) == [FOLATE_FIRST]


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_item_32_a_call_of_another_hook_is_400_that_says_so(hook):
    wrong = post(body(), path=f"/cds-services/b12-{hook}")
    assert one_issue(wrong, 400)["expression"] == ["hook"]
    other = "order-sign" if hook == "order-select" else "order-select"
    mixed = post(select(drafts(draft())) if other == "order-select" else sign(drafts(draft())),
                 path=f"/cds-services/b12-{hook}")  # fmt: skip
    assert "hook" in [issue["expression"][0] for issue in outcome(mixed)]
    assert one_issue(post(select(drafts(draft()))), 400)["expression"] == ["hook"]


def test_item_37_unknown_fields_of_the_context_are_ignored():
    request = select(drafts(draft()))
    request["context"] |= {"encounterId": 7, "later": [None], "userPractitionerId": None}
    assert topics(request) == [FOLATE_FIRST]


def test_item_34_a_patient_id_with_its_type_is_accepted():
    request = select(drafts(draft()))
    request["context"]["patientId"] = "Patient/pt-1"
    assert topics(request) == [FOLATE_FIRST]


def test_our_schema_and_the_decoder_agree():
    schema = Draft202012Validator(schema_of(HOOKS["order-select"].envelope))
    for context, path, _ in MISTAKES.values():
        errors = list(schema.iter_errors(body(hook="order-select", context=context)))
        assert errors, path
    assert schema.is_valid(select(drafts(draft())))
    assert Draft202012Validator(schema_of(HOOKS["order-sign"].envelope)).is_valid(sign(drafts(draft())))
