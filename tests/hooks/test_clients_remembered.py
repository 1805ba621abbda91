"""What is remembered is remembered of the same people, however their FHIR server is spelled (issue 5, part 3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cds_service.store.pseudonyms import new_line
from tests.hooks.calling import PATH, body
from tests.hooks.living import prefetch
from tests.hooks.tokens import PUBLIC, Gated, claims, signed
from tests.store.databases import until

BASE = "https://ehr.example.org/fhir"
TOKEN = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "b"}


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    """A service with a store, and one client that may name `BASE`."""
    (tmp_path / "store.keys").write_text(new_line("k"))
    kept = {"store_url": f"sqlite:///{tmp_path}/store.sqlite", "store_keys": tmp_path / "store.keys"}
    with closing(Gated(tmp_path, main={"fhir": [{"base": BASE, "anonymous": True}]}, settings=kept)) as running:
        yield running


def cards(gated: Gated, **named: Any) -> list[dict[str, Any]]:
    call = body(hookInstance=str(uuid4()), prefetch=prefetch(), **named)
    return gated.post(call, signed()).json["cards"]


def override(gated: Gated, given: list[dict[str, Any]]) -> None:
    """The user overrides these cards, in words that the service is to remember."""
    feedback = {"feedback": [{"card": each["uuid"], "outcome": "overridden"} for each in given]}
    token = signed(claims(aud=f"{PUBLIC}{PATH}/feedback"))
    assert gated.post(feedback, token, f"{PATH}/feedback").status_code == 200


def texts(given: list[dict[str, Any]]) -> list[str]:
    return [each["summary"] for each in given]


SPELLED = [BASE + "/", "HTTPS://EHR.Example.org/fhir", "https://ehr.example.org:443/fhir"]


def test_what_was_overridden_is_remembered_however_the_fhir_server_is_spelled(gated):
    shown = cards(gated, fhirServer=BASE)
    override(gated, shown)
    until(lambda: texts(cards(gated, fhirServer=BASE)) != texts(shown))
    remembered = texts(cards(gated, fhirServer=BASE))
    assert [texts(cards(gated, fhirServer=each)) for each in SPELLED] == [remembered] * len(SPELLED)


@pytest.mark.parametrize("changed", [{"patient": "pt-2"}, {"access_token": "no token"}], ids=["of another", "unusable"])
def test_what_was_overridden_is_remembered_with_a_token_that_is_not_used(gated, changed):
    shown = cards(gated, fhirServer=BASE)
    override(gated, shown)
    until(lambda: texts(cards(gated, fhirServer=BASE)) != texts(shown))
    again = cards(gated, fhirServer=BASE, fhirAuthorization={**TOKEN, **changed})
    assert texts(again) == texts(cards(gated, fhirServer=BASE))


@pytest.mark.parametrize("named", [{}, {"fhirServer": BASE + "/other"}, {"fhirServer": "no address"}])
def test_it_is_not_remembered_of_people_of_another_fhir_server_or_of_one_that_is_not_named(gated, named):
    shown = cards(gated, fhirServer=BASE)
    override(gated, shown)
    until(lambda: texts(cards(gated, fhirServer=BASE)) != texts(shown))
    assert texts(cards(gated, **named)) == texts(shown)
