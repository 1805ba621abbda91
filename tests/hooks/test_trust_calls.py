"""Authentication over HTTP (items 23, 113, 117 to 132 of the protocol checklist): the answer, and the log."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.auth.tokens import SKEW, CannotTell, MemoryOfTokens
from cds_service.settings import Settings, SettingsError
from tests.hooks.calling import PATH, body, one_issue
from tests.hooks.living import prefetch, says_deficient
from tests.hooks.tokens import ISS, NOW, PUBLIC, Gated, claims, key, signed, write

CALL = body(prefetch=prefetch())
DISCOVERY = "/cds-services"


@pytest.fixture
def gated(tmp_path):
    return Gated(tmp_path)


def is_401(response: TestResponse) -> bool:
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert one_issue(response, 401) == {
        "severity": "error",
        "code": "login",
        "details": {"text": "the call is not authenticated"},
    }
    return True


WRONG = {
    "no token": None,
    "no words": "",
    "no such issuer": lambda: signed(claims(iss="https://evil.example.org")),
    "another audience": lambda: signed(claims(aud="https://evil.example.org" + PATH)),
    "the Host that was asked": lambda: signed(claims(aud="http://localhost" + PATH)),
    "expired": lambda: signed(claims(exp=NOW - 300, iat=NOW - 600)),
    "lives too long": lambda: signed(claims(exp=NOW + 4_000)),
    "a tenant": lambda: signed(claims(tenant="x")),
    "another key": lambda: signed(by=key("ES384", "other"), kid="kid-ES384"),
    "unknown key": lambda: signed(by=key("ES384", "other")),
    "another algorithm": lambda: signed(algorithm="ES256"),
    "jku": lambda: signed(jku="https://evil.example.org/keys.json"),
    "jwk": lambda: signed(by=key("ES384", "o"), kid="kid-ES384", jwk=key("ES384", "o").as_dict(private=False)),
    "no jti": lambda: signed(claims(jti=...)),
    "long jti": lambda: signed(claims(jti="x" * 129)),
}


def test_items_117_and_118_a_signed_call_is_answered(gated):
    assert says_deficient(gated.post(CALL, signed()))
    assert says_deficient(gated.post(CALL, signed(algorithm="RS384")))
    assert [line["client"] for line in gated.heard.events("call")] == ["main", "main"]


@pytest.mark.parametrize("name", WRONG)
def test_items_123_and_124_whatever_is_wrong_the_caller_hears_401_and_no_reason(gated, name):
    token = WRONG[name]() if callable(WRONG[name]) else WRONG[name]
    assert is_401(gated.post(CALL, token))
    assert gated.heard.events("not admitted")[0]["why"]
    if token:
        assert token.rpartition(".")[2] not in gated.heard.text
        assert token.split(".")[1] not in gated.heard.text
    assert not gated.heard.events("call")


@pytest.mark.parametrize("header", ["Basic {}", "Token {}", "{}", "Bearer{}", "Bearer {} {}", "Bearer {},Bearer {}"])
def test_item_118_the_token_is_a_bearer_token(gated, header):
    token = signed()
    assert is_401(gated.post(CALL, None, headers={"Authorization": header.replace("{}", token)}))
    assert gated.post(CALL, None, headers={"Authorization": f"bearer  {token}"}).status_code == 200


def test_item_124_issuer_tenant_and_jti_may_be_logged_and_are_cut(gated):
    gated.post(CALL, signed(claims(iss="x" * 1_000, tenant="t", jti="j")))
    (line,) = gated.heard.events("not admitted")
    assert (line["why"], line["iss"], line["tenant"], line["jti"]) == ("iss", "x" * 200, "t", "j")


def test_items_66_and_124_no_token_is_ever_in_the_log_or_an_answer(gated):
    token = signed()
    seen = [gated.post(CALL, token).text, gated.post(CALL, token).text, gated.post({"hook": 1}, signed()).text]
    gated.app.view_functions["welcome"] = lambda: 1 / 0
    seen.append(gated.open("GET", "/", token).text)
    assert gated.heard.events("bug")
    assert not [text for text in (*seen, gated.heard.text) if token[-40:] in text]


def test_item_121_the_host_header_and_forwarded_headers_change_nothing(gated):
    forged = {"Host": "evil.example.org", "X-Forwarded-Host": "evil.example.org", "X-Forwarded-Proto": "https"}
    aud = "https://evil.example.org" + PATH
    assert is_401(gated.post(CALL, signed(claims(aud=aud)), headers=forged))
    assert gated.post(CALL, signed(), headers=forged).status_code == 200


def test_items_117_and_121_every_service_wants_a_token_for_its_own_address(gated):
    paths = [f"/cds-services/{each['id']}" for each in gated.open("GET", DISCOVERY).json["services"]]
    assert len(paths) == 3
    for path, other in zip(paths, paths[1:] + paths[:1], strict=True):
        assert is_401(gated.post(CALL, None, path))
        assert is_401(gated.post(CALL, signed(claims(aud=PUBLIC + other)), path))
        assert gated.post(CALL, signed(claims(aud=PUBLIC + path)), path).status_code in (200, 400)


def test_item_121_an_alias_is_an_audience_of_that_client_only(tmp_path):
    other = "https://other.example.org"
    gated = Gated(tmp_path, main={"audiences": ["sand_man"]}, other={"iss": other, "public_base_url": other})
    assert gated.post(CALL, signed(claims(aud="sand_man"))).status_code == 200
    assert is_401(gated.post(CALL, signed(claims(aud="sand_man", iss=other))))
    assert is_401(gated.post(CALL, signed(claims(iss=other))))
    assert gated.post(CALL, signed(claims(iss=other, aud=other + PATH))).status_code == 200


def test_item_122_a_key_is_good_for_its_own_issuer_only(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps({"keys": [key("ES384", "theirs").as_dict(private=False)]}))
    other = {"iss": "https://other.example.org", "keys": {"file": "other.json"}}
    gated = Gated(tmp_path, main={}, other=other)
    assert gated.post(CALL, signed(claims(iss=other["iss"]), by=key("ES384", "theirs"))).status_code == 200
    assert is_401(gated.post(CALL, signed(by=key("ES384", "theirs"))))
    assert is_401(gated.post(CALL, signed(claims(iss=other["iss"]))))


def test_items_123_and_123a_a_token_is_good_once(gated):
    token = signed()
    assert gated.post(CALL, token).status_code == 200
    assert is_401(gated.post(CALL, token))
    assert gated.heard.events("not admitted")[0]["why"] == "jti: seen before"
    assert is_401(gated.post(CALL, signed(claims(jti=gated.heard.events("not admitted")[0]["jti"]))))


def test_item_123a_a_client_may_be_allowed_to_use_a_token_until_it_expires(tmp_path):
    gated = Gated(tmp_path, main={"jti": "until-exp"})
    token = signed()
    assert [gated.post(CALL, token).status_code for _ in range(3)] == [200] * 3
    gated.now += timedelta(seconds=300 + SKEW)
    assert is_401(gated.post(CALL, token))


def test_item_123_a_forged_token_uses_up_no_jti(gated):
    jti = str(uuid.uuid4())
    assert is_401(gated.post(CALL, signed(claims(jti=jti), by=key("ES384", "other"), kid="kid-ES384")))
    assert gated.post(CALL, signed(claims(jti=jti))).status_code == 200


def test_item_123a_the_memory_is_of_one_issuer_bounded_and_forgets_in_time():
    seen = MemoryOfTokens(most=2)
    assert seen.first_time("a", "1", 100, 50)
    assert not seen.first_time("a", "1", 100, 100)
    assert seen.first_time("b", "1", 100, 50)
    assert seen.first_time("a", "2", 200, 50)
    with pytest.raises(CannotTell):
        seen.first_time("a", "3", 100, 60)
    assert not seen.first_time("a", "2", 300, 60)
    assert seen.first_time("b", "3", 100, 60)
    assert seen.first_time("a", "3", 200, 101)


def test_item_123a_when_it_cannot_be_told_the_call_is_not_answered(gated, monkeypatch):
    admission = gated.app.view_functions["call"].__self__.site.callers.admission
    monkeypatch.setattr(admission, "_seen", MemoryOfTokens(most=1))
    assert gated.post(CALL, signed()).status_code == 200
    refused = gated.post(CALL, signed())
    assert one_issue(refused, 503)["code"] == "transient"
    assert refused.headers["Retry-After"] == "60"


def test_item_123a_several_workers_need_a_store_or_the_operators_word(tmp_path):
    with pytest.raises(SettingsError, match=r'CDS_WORKERS: without a store .* jti = "once" need one worker'):
        create_app(Settings(clients=write(tmp_path), store_url="none", workers=2))
    assert Gated(tmp_path, main={"jti": "until-exp"}, settings={"workers": 2})
    gated = Gated(tmp_path, 'jti_memory = "per-process"', settings={"workers": 2})
    assert [line for line in gated.heard.events("start") if "a restart forgets them" in line["remark"]]


def test_item_77_a_client_that_calls_too_often_is_asked_to_wait_and_the_others_are_answered(tmp_path):
    other = {"iss": "https://other.example.org"}
    gated = Gated(tmp_path, main={"rate": 2}, other=other)
    assert [gated.post(CALL, signed()).status_code for _ in range(3)] == [200, 200, 429]
    refused = gated.post(CALL, signed())
    assert one_issue(refused, 429)["code"] == "throttled"
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert gated.post(CALL, signed(claims(**other))).status_code == 200
    assert is_401(gated.post(CALL, signed(claims(aud="x"))))


@pytest.mark.parametrize(("sent", "status"), [("north", 200), ("south", 200), ("east", 401), (..., 401)])
def test_item_123_a_tenant_must_be_one_that_is_written_down(tmp_path, sent, status):
    gated = Gated(tmp_path, main={"tenants": ["north", "south"]})
    assert gated.post(CALL, signed(claims(tenant=sent))).status_code == status


def test_item_23_discovery_is_open_and_a_token_that_is_no_good_does_not_close_it(gated):
    listed = gated.open("GET", DISCOVERY)
    assert listed.status_code == 200
    assert gated.open("GET", DISCOVERY, signed(claims(aud=PUBLIC + DISCOVERY))).json == listed.json
    assert gated.open("GET", DISCOVERY, "x").json == listed.json


def test_item_23_discovery_can_be_closed_and_then_wants_a_token_of_its_own_address(tmp_path):
    gated = Gated(tmp_path, 'discovery = "closed"')
    assert is_401(gated.open("GET", DISCOVERY))
    assert is_401(gated.open("GET", DISCOVERY, signed()))
    assert gated.open("GET", DISCOVERY, signed(claims(aud=PUBLIC + DISCOVERY))).json["services"]
    assert gated.open("GET", DISCOVERY + "/", signed(claims(aud=PUBLIC + DISCOVERY + "/"))).json["services"]


def test_item_130_a_preflight_needs_no_token_and_401_carries_the_headers_too(tmp_path):
    origin = {"Origin": "https://app.example.org"}
    gated = Gated(tmp_path, 'discovery = "closed"', settings={"origins": "https://app.example.org"})
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for path in (PATH, DISCOVERY):
        preflight = gated.open("OPTIONS", path, headers={**origin, **asks})
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    refused = gated.post(CALL, None, headers=origin)
    assert is_401(refused)
    assert refused.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    assert refused.headers["Access-Control-Expose-Headers"] == "Retry-After, Server-Timing"
    assert refused.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in gated.post(CALL, None, headers={"Origin": "https://x.org"}).headers


def test_items_77_and_123_the_token_is_looked_at_before_the_body_and_after_the_address(gated):
    assert is_401(gated.open("POST", PATH, data=b"x" * 6_000_000, content_type="text/plain"))
    assert gated.open("POST", PATH, signed(), data=b"x", content_type="text/plain").status_code == 415
    assert gated.open("POST", "/cds-services/none").status_code == 404
    assert gated.open("GET", PATH).status_code == 405


def test_item_132_the_log_says_who_called_and_nothing_of_the_patient(gated):
    gated.post(CALL, signed(claims(sub="user-7")))
    (line,) = gated.heard.events("call")
    assert (line["client"], line["silent"], line["status"]) == ("main", False, 200)
    assert "pt-1" not in gated.heard.text
    assert ISS not in json.dumps(line)
