"""Bad input (issue 3, part 7): each gets its status and an OperationOutcome that names the place, never the value."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cds_service.cdshooks.faults import BadRequest
from cds_service.cdshooks.registry import HOOKS
from cds_service.cdshooks.requests import read_request
from cds_service.cdshooks.schemas import schema_of
from tests.hooks.calling import CONTEXT, LARGEST_BODY, PATH, SECRET, Answers, Caller, body, config, one_issue, outcome

NOT_JSON = {
    "nothing": b"",
    "half": b'{"hook": "patient-view"',
    "two values": json.dumps(body()).encode() + b"{}",
    "a trailing comma": b'{"hook": "patient-view",}',
    "a comment": b'{"hook": "patient-view"} // x',
    "NaN": b'{"hook": NaN}',
    "UTF-16": json.dumps(body()).encode("utf-16"),
    "Latin-1": json.dumps(body(hookInstance="é"), ensure_ascii=False).encode("latin-1"),
    "Latin-1 where nothing is decoded": b'{"prefetch": {"b12": {"text": "\xe9"}}}',
    "half a surrogate pair": json.dumps(body(hookInstance="\ud800")).encode(),
    "a raw line break in a text": b'{"hook": "patient\nview"}',
    "a form": b"hook=patient-view",
}
MISTAKES = {
    "hook": ({"hook": ...}, "hook", "required"),
    "hook a number": ({"hook": 7}, "hook", "type"),
    "hook null": ({"hook": None}, "hook", "type"),
    "another hook": ({"hook": "order-sign"}, "hook", "const"),
    "hookInstance": ({"hookInstance": ...}, "hookInstance", "required"),
    "hookInstance a list": ({"hookInstance": [SECRET]}, "hookInstance", "type"),
    "hookInstance empty": ({"hookInstance": ""}, "hookInstance", "minLength"),
    "hookInstance long": ({"hookInstance": SECRET * 10}, "hookInstance", "maxLength"),
    "context": ({"context": ...}, "context", "required"),
    "context a text": ({"context": SECRET}, "context", "type"),
    "context null": ({"context": None}, "context", "type"),
    "userId": ({"context": {"patientId": SECRET}}, "context.userId", "required"),
    "userId a number": ({"context": {**CONTEXT, "userId": 1}}, "context.userId", "type"),
    "patientId": ({"context": {"userId": SECRET}}, "context.patientId", "required"),
    "patientId an object": ({"context": {**CONTEXT, "patientId": {"id": SECRET}}}, "context.patientId", "type"),
    "patientId empty": ({"context": {**CONTEXT, "patientId": ""}}, "context.patientId", "pattern"),
    "patientId with a query": ({"context": {**CONTEXT, "patientId": f"{SECRET}?x"}}, "context.patientId", "pattern"),
    "patientId with a path": ({"context": {**CONTEXT, "patientId": f"../{SECRET}"}}, "context.patientId", "pattern"),
    "patientId with a line": ({"context": {**CONTEXT, "patientId": f"{SECRET}\n"}}, "context.patientId", "pattern"),
    "prefetch a list": ({"prefetch": [SECRET]}, "prefetch", "type"),
    "fhirServer a number": ({"fhirServer": 5}, "fhirServer", "type"),
    "fhirAuthorization a text": ({"fhirAuthorization": SECRET}, "fhirAuthorization", "type"),
}


@pytest.mark.parametrize("sent", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_items_29_and_77_what_is_not_json_is_400(sent):
    assert one_issue(Caller().post(sent), 400)["details"]["text"] == "the body is not JSON in UTF-8"


@pytest.mark.parametrize("sent", [b"[]", b"null", b'"text"', b"1", b"true"])
def test_json_that_is_no_object_is_400(sent):
    assert one_issue(Caller().post(sent), 400)["details"]["text"] == "the body is not an object"


@pytest.mark.parametrize(("changed", "path", "keyword"), MISTAKES.values(), ids=MISTAKES.keys())
def test_items_29_32_and_34_a_fault_is_told_by_path_and_never_by_value(changed, path, keyword):
    caller = Caller()
    response = caller.post(body(**changed))
    issue = one_issue(response, 400)
    assert issue["expression"] == [path]
    assert issue["details"]["text"].startswith(f"{path}: ")
    assert SECRET not in response.text
    assert SECRET not in caller.log.getvalue()
    assert json.loads(caller.log.getvalue())["why"] == [f"{path}: {keyword}"]
    assert not caller.answers.calls


def test_all_faults_are_told_at_once():
    response = Caller().post({})
    assert [issue["expression"] for issue in outcome(response)] == [["hook"], ["hookInstance"], ["context"]]


def test_unknown_service_is_404_and_names_the_way():
    assert "/cds-services" in one_issue(Caller().post(body(), "/cds-services/other"), 404)["details"]["text"]
    assert one_issue(Caller().get("/nothing"), 404)["code"] == "not-found"
    assert one_issue(Caller().post(body(), f"{PATH}/feedback"), 404)["code"] == "not-found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/cds-services", {"GET", "HEAD", "OPTIONS"}),
        ("GET", PATH, {"OPTIONS", "POST"}),
        ("PUT", PATH, {"OPTIONS", "POST"}),
        ("DELETE", PATH, {"OPTIONS", "POST"}),
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_items_25_and_77_a_wrong_method_is_405_and_says_which_is_right(method, path, allowed):
    response = Caller().open(method, path)
    assert one_issue(response, 405)["code"] == "not-supported"
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/xml", "multipart/form-data", "application/jsonp"]
)
def test_items_10_and_77_another_media_type_is_415(content_type):
    assert one_issue(Caller().post(body(), content_type=content_type), 415)["code"] == "not-supported"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "nonsense"])
def test_item_36_an_encoded_body_is_415(encoding):
    assert one_issue(Caller().post(body(), headers={"Content-Encoding": encoding}), 415)


@pytest.mark.parametrize("encoding", ["identity", "Identity ", ""])
def test_item_36_identity_is_no_encoding(encoding):
    assert Caller().post(body(), headers={"Content-Encoding": encoding}).status_code == 200


def test_item_36_a_body_over_the_limit_is_413_and_one_at_the_limit_is_read():
    padded = json.dumps(body()).encode().ljust(LARGEST_BODY)
    assert Caller().post(padded).status_code == 200
    assert one_issue(Caller().post(padded + b" "), 413)["code"] == "too-long"


def test_item_36_a_body_that_does_not_tell_its_length_is_413_too():
    padded = json.dumps(body()).encode().ljust(LARGEST_BODY + 1)
    chunked = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert one_issue(Caller().post(padded, environ=chunked), 413)["code"] == "too-long"
    assert Caller().post(padded[:-1], environ=chunked).status_code == 200


def test_a_key_that_is_sent_twice_counts_the_last_time():
    sent = json.dumps(body())[:-1] + ', "hook": "order-sign"}'
    assert one_issue(Caller().post(sent.encode()), 400)["expression"] == ["hook"]


def test_a_bug_is_an_honest_500_without_internals():
    caller = Caller(Answers(bug=ValueError(SECRET)))
    response = caller.post(body())
    assert one_issue(response, 500)["code"] == "exception"
    logged = json.loads(caller.log.getvalue())
    assert logged["kind"] == "ValueError"
    assert any("calling.py" in place for place in logged["at"])
    for text in (response.text, caller.log.getvalue()):
        assert SECRET not in text
        assert "Traceback" not in text


def test_missing_data_is_412_with_what_is_missing_and_why():
    answers = Answers(missing=("patient", "b12"), reasons={"b12": "the FHIR server does not give access"})
    response = Caller(answers).post(body())
    assert response.status_code == 412
    patient, b12 = (issue["details"]["text"] for issue in outcome(response))
    assert patient.startswith("patient: was not sent; send ")
    assert b12 == "b12: the FHIR server does not give access"


def test_412_says_what_to_send_as_discovery_asks_for_it():
    response = Caller(Answers(missing=("patient", "b12"))).post(body())
    discovered = config().templates
    for key, issue in zip(("patient", "b12"), outcome(response), strict=True):
        assert f"answers to {discovered[key]} under prefetch.{key}, or a fhirServer" in issue["details"]["text"]
        assert "{{context.patientId}}" in issue["details"]["text"], "the id of a patient is never repeated"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ODD_REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "hook": st.just("patient-view") | JSON_VALUES,
        "hookInstance": st.text(max_size=130) | JSON_VALUES,
        "context": st.fixed_dictionaries({}, optional={"userId": JSON_VALUES, "patientId": JSON_VALUES}) | JSON_VALUES,
        "fhirServer": JSON_VALUES,
        "fhirAuthorization": JSON_VALUES,
        "prefetch": JSON_VALUES,
    },
)


def faults_of(told: Any) -> set[str]:
    """The keywords of the faults that reading it finds."""
    try:
        read_request(msgspec.json.encode(told), "patient-view")
    except BadRequest as error:
        return {fault.keyword for fault in error.faults}
    return set()


@given(ODD_REQUESTS)
def test_the_published_schema_and_the_reader_agree(told):
    """What the schema takes is read, and what it refuses is refused, with the schema's own keywords."""
    schema = Draft202012Validator(schema_of(HOOKS["patient-view"].envelope))
    refused = {"type" if found.validator == "anyOf" else found.validator for found in schema.iter_errors(told)}
    hook = told.get("hook", "patient-view")
    if isinstance(hook, str) and hook not in ("", "patient-view"):
        refused.add("const")  # which hook an endpoint is for, the schema of a hook's requests does not say
    assert faults_of(told) - {"const"} == refused - {"const"}
    assert bool(faults_of(told)) == bool(refused or hook == "")


@given(st.binary(max_size=200) | ODD_REQUESTS.map(lambda told: json.dumps(told).encode()))
def test_nothing_in_a_request_causes_a_5xx(sent):
    response = Caller().post(sent)
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert all(re.fullmatch(r"[ -~]+", issue["details"]["text"]) for issue in outcome(response))
