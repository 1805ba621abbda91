"""Every line of the log about a call names it by its hookInstance, where that is known (checklist items 33 and 132)."""

from __future__ import annotations

import hashlib
import json
from contextlib import redirect_stderr
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import Client

from cds_service import app as application
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.hooks.calling import ENVIRON, HOOK_INSTANCE, PATH, body
from tests.hooks.living import TODAY, bundle, prefetch, problem
from tests.hooks.tokens import Heard, write

SIGN = PATH.replace("patient-view", "order-sign")


def lines(*sent: bytes, path: str = PATH, settings: Settings | None = None) -> list[dict[str, Any]]:
    """What the log says of these calls, one after the other."""
    with redirect_stderr(Heard()) as heard:
        client = Client(create_app(settings or Settings(demo=True, store_url="none"), clock=lambda: TODAY))
        for each in sent:
            client.post(path, data=each, content_type="application/json", environ_overrides=ENVIRON)
    found = [json.loads(line) for line in heard.text.splitlines()]
    return [each for each in found if each["event"] != "start"]


def sent(**changed: Any) -> bytes:
    return json.dumps(body(**changed)).encode()


def test_33_an_answered_call_is_named():
    (line,) = lines(sent(prefetch=prefetch()))
    assert (line["event"], line["hookInstance"]) == ("call", HOOK_INSTANCE)


@pytest.mark.parametrize(
    "refused",
    [sent(context={"userId": "x"}), sent(hook="order-sign"), sent(hookInstance=HOOK_INSTANCE, prefetch=7)],
    ids=["a field is missing", "another hook", "a wrong type"],
)
def test_33_a_refused_call_is_named_too(refused):
    (line,) = lines(refused)
    assert (line["event"], line["status"], line["hookInstance"]) == ("refused", 400, HOOK_INSTANCE)
    assert line["service"] == "b12-patient-view"


def test_33_every_line_of_a_call_is_named():
    first, second = lines(sent(hook="order-sign"), path=SIGN)
    assert (first["event"], second["event"]) == ("no-draft-orders", "refused")
    assert first["hookInstance"] == second["hookInstance"] == HOOK_INSTANCE


def test_33_what_is_no_uuid_is_hashed_there_too():
    (line,) = lines(sent(hookInstance="Mr Smith", context={}))
    assert line["hookInstance"] == "sha256:" + hashlib.sha256(b"Mr Smith").hexdigest()[:16]


@pytest.mark.parametrize("unreadable", [b"{", b"[]", b'{"hookInstance": 7}', b'{"hookInstance": "\\ud800"}', b"\xff"])
def test_a_call_that_tells_no_name_has_none(unreadable):
    (line,) = lines(unreadable)
    assert (line["status"], line.get("hookInstance")) == (400, None)


def test_a_call_does_not_take_the_name_of_the_one_before_it():
    _, second, third = lines(
        sent(prefetch=prefetch()), b"{", sent(prefetch=prefetch(), hookInstance=HOOK_INSTANCE[::-1])
    )
    assert "hookInstance" not in second
    assert third["hookInstance"] != HOOK_INSTANCE


def test_132_a_bug_is_named_and_tells_nothing_else(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any) -> Any:
        raise ValueError("Mr Smith")

    built = application.build_site
    monkeypatch.setattr(application, "build_site", lambda *given: replace(built(*given), evaluate=broken))
    (line,) = lines(sent(prefetch=prefetch()))
    assert (line["event"], line["hookInstance"], line["client"]) == ("bug", HOOK_INSTANCE, "demo")
    assert "Smith" not in json.dumps(line)


def test_132_a_call_without_a_token_is_noted_with_its_service_and_without_a_client(tmp_path):
    settings = Settings(clients=write(tmp_path), store_url="none")
    first, second = lines(sent(prefetch=prefetch()), settings=settings)
    assert (first["event"], second["event"]) == ("not admitted", "refused")
    assert first["service"] == second["service"] == "b12-patient-view"
    assert "client" not in first


def test_a_search_that_brought_only_other_peoples_resources_is_one_line_without_a_word_about_a_patient():
    foreign = {"subject": {"reference": "Patient/pt-2"}}
    first, second = lines(sent(prefetch=prefetch(conditions=bundle(problem(**foreign)))))
    assert first["warnings"] == ["only-other-patients-resources"]
    assert (second["event"], second["level"]) == ("only other patients' resources", "warning")
    assert (second["keys"], second["hookInstance"]) == (["conditions"], HOOK_INSTANCE)
    assert "pt-" not in json.dumps([first, second])
    (line,) = lines(sent(prefetch=prefetch(conditions=bundle(problem(), problem("84229001", **foreign)))))
    assert line["warnings"] == []
