"""Items 47a and 54 to 58 of the protocol checklist over HTTP: what is read from the client's FHIR server, or not."""

from __future__ import annotations

import pytest

from tests.book import content
from tests.fhir import loopback
from tests.hooks.calling import body
from tests.hooks.living import (
    FAULT,
    b12,
    bundle,
    fhir_server,
    medicines,
    missing,
    post,
    prefetch,
    says_deficient,
)


def test_item_54_what_is_missing_is_fetched_and_what_was_sent_is_not():
    with loopback.serving(fhir_server()) as server:
        assert says_deficient(post(body(prefetch=..., fhirServer=server.base)))
        assert {path.partition("?")[0] for path in server.paths} == set(fhir_server())
        server.requests.clear()
        assert says_deficient(post(body(prefetch=prefetch(b12=...), fhirServer=server.base)))
        assert [path.partition("?")[0] for path in server.paths] == ["/fhir/Observation"]
        assert server.paths[0].startswith("/fhir/Observation?patient=pt-1&code=")


def test_items_51_and_54_a_key_that_failed_is_fetched():
    with loopback.serving(fhir_server()) as server:
        assert says_deficient(post(body(prefetch=prefetch(b12=FAULT, patient=None), fhirServer=server.base)))


def test_item_54a_optional_keys_that_hang_are_given_up_and_named_required_ones_are_not():
    slow = {"Observation": loopback.after(0.2, loopback.fhir(bundle(b12(600)))), "Condition": loopback.never}
    with loopback.serving(fhir_server(**slow)) as server:
        response = post(body(prefetch=prefetch(b12=..., conditions=...), fhirServer=server.base))
    (card,) = response.json["cards"]
    assert "problem list" in card["detail"]


TYPES = {
    "conditions": "Condition", "medications": "MedicationStatement", "medicationRequests": "MedicationRequest",
    "administrations": "MedicationAdministration", "dispenses": "MedicationDispense", "orders": "ServiceRequest",
    "procedures": "Procedure", "allergies": "AllergyIntolerance", "family": "FamilyMemberHistory",
}  # fmt: skip


def named(key: str, answer: loopback.Answer) -> bool:
    """Whether the answer names this part of the record, which the server is asked for and does not give."""
    with loopback.serving(fhir_server(**{TYPES[key]: answer})) as server:
        response = post(body(prefetch=..., fhirServer=server.base))
    assert says_deficient(response)
    words = content().pathways["uk-ng239"].messages[f"prefetch.{key}"].casefold()
    details = [card["detail"] for card in response.json["cards"]]
    return any(words in each for each in map(str.casefold, details) if "could not be read" in each)


@pytest.mark.parametrize("key", TYPES)
def test_item_54a_whatever_was_asked_for_and_did_not_come_is_named(key):
    assert named(key, loopback.status(500))


@pytest.mark.parametrize(
    "answer",
    [loopback.status(401), loopback.status(429), loopback.reset, loopback.body(b"<p>", 200), loopback.fhir(FAULT),
     loopback.status(302, Location="http://127.0.0.1:1/")],
    ids=["401", "429", "reset", "HTML", "OperationOutcome", "redirect"],
)  # fmt: skip
def test_item_54a_and_however_it_failed(answer):
    assert named("family", answer)


@pytest.mark.parametrize("code", [403, 404, 501])
def test_what_a_server_gives_of_no_patient_is_as_if_it_was_not_sent(code):
    assert not named("family", loopback.status(code))
    assert named("procedures", loopback.status(code))  # a decision rests on them


@pytest.mark.parametrize(
    "answer",
    [loopback.status(401), loopback.status(403), loopback.status(404), loopback.status(500), loopback.reset,
     loopback.body(b"<html>", 200), loopback.half(b'{"resourceType": "Bundle"}'), loopback.fhir(FAULT),
     loopback.status(302, Location="http://127.0.0.1:1/")],
    ids=["401", "403", "404", "500", "reset", "HTML", "half", "OperationOutcome", "redirect"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["patient", "b12"])
def test_item_55_a_required_key_that_the_server_does_not_give_is_412(key, answer):
    with loopback.serving(fhir_server(**{"Patient/pt-1": answer, "Observation": answer})) as server:
        response = post(body(prefetch=prefetch(**{key: ...}), fhirServer=server.base))
    assert missing(response) == [key]
    assert server.base not in response.text


def test_item_57_pages_are_followed():
    next_page = "?_getpages=1"
    with loopback.serving() as server:
        first = bundle(
            b12(600, effectiveDateTime="2026-01-01"), link=[{"relation": "next", "url": server.base + next_page}]
        )
        server.answers.update(fhir_server())
        server.answers["/fhir/Observation"] = loopback.fhir(first)
        server.answers[f"/fhir{next_page}"] = loopback.fhir(bundle(b12()))
        assert says_deficient(post(body(prefetch=prefetch(b12=...), fhirServer=server.base)))
        sent = prefetch(b12=first)
        assert says_deficient(post(body(prefetch=sent, fhirServer=server.base)))


def test_item_58_a_next_page_elsewhere_is_never_read():
    with loopback.serving(fhir_server()) as server, loopback.serving() as elsewhere:
        for url in (f"{elsewhere.base}?page=2", f"{server.base}-evil?page=2", "http://169.254.169.254/"):
            first = bundle(b12(), link=[{"relation": "next", "url": url}])
            response = post(body(prefetch=prefetch(b12=first), fhirServer=server.base))
            assert says_deficient(response)
            assert medicines(response) == []
        assert not elsewhere.paths, "a page of the server's own is read there, under its own base"
        assert set(server.paths) <= {"/fhir?page=2"}


def test_items_47a_a_resource_type_that_the_server_does_not_have_is_no_reason_for_412():
    absent = dict.fromkeys(("MedicationStatement", "FamilyMemberHistory", "MedicationDispense"), loopback.status(404))
    with loopback.serving(fhir_server(**absent)) as server:
        assert says_deficient(post(body(prefetch=..., fhirServer=server.base)))
