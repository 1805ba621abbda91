"""A launch below the browser: whose it is, what is believed of an authorization server, and the cookie between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import Client, TestResponse

from cds_service.app import create_app
from cds_service.metrics import BEGUN, DENIED, LAUNCH_FAILED, LAUNCHES, TURNED_AWAY
from cds_service.settings import Settings, SettingsError
from cds_service.smart.faults import FAULTS
from cds_service.smart.launch import Pending, Sealer, is_granted
from cds_service.store.pseudonyms import new_line, read_keys
from tests.fhir import loopback
from tests.hooks.living import TODAY
from tests.hooks.tokens import write
from tests.smart.record_system import own_key

PUBLIC = "http://127.0.0.1:8000"
HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000", "SERVER_PORT": "8000"}
WELL_KNOWN = "/fhir/.well-known/smart-configuration"


def configuration(base: str, **changed: object) -> dict[str, object]:
    """What an authorization server beside that FHIR base says of itself."""
    origin = base.removesuffix("/fhir")
    found = {"authorization_endpoint": f"{origin}/auth", "token_endpoint": f"{origin}/token", "issuer": origin,
             "jwks_uri": f"{origin}/jwks", "capabilities": ["permission-v2"],
             "code_challenge_methods_supported": ["S256"]}  # fmt: skip
    return {**found, **changed}


@dataclass
class Browser:
    """The service in this process, its clock, and a browser with its cookies."""

    base: str
    app: Client
    after: timedelta = field(default_factory=timedelta)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.app.get(path, headers=headers, base_url=PUBLIC.replace("http:", "https:"), environ_overrides=HERE)

    def launch(self, launch: str = "xyz", **headers: str) -> TestResponse:
        return self.get(f"/smart/launch?iss={self.base}&launch={launch}", **headers)

    @property
    def cookies(self) -> list[str]:
        return [each.key for each in self.app._cookies.values()]


def settings(folder: Path, **table: object) -> Settings:
    """The settings of a service with one client; `smart` and what else of the client is changed."""
    for name in ("smart.keys", "store.keys"):
        (folder / name).write_text(f"{new_line('one')}\n")
    path = write(folder, main={"public_base_url": PUBLIC, "smart": {"client_id": "b12-cds"}, **table})
    return Settings(clients=path, smart_keys=folder / "smart.keys", store_url="none")


@contextmanager
def opened(
    folder: Path, said: object = ..., changed: dict[str, object] | None = None, **table: object
) -> Iterator[Browser]:
    """A browser in front of a service whose record system says `said` of its authorization server (None: nothing), or
    what it should with this `changed`."""
    with loopback.serving() as server:
        found = configuration(server.base, **(changed or {})) if said is ... else said
        if found is not None:
            server.answers[WELL_KNOWN] = loopback.fhir(found)
        made: list[Browser] = []
        table = {"fhir": [{"base": server.base, "private": True}], **table}
        app = create_app(settings(folder, **table), clock=lambda: TODAY + made[0].after if made else TODAY)
        made.append(Browser(server.base, Client(app)))
        yield made[0]


def is_fault(answer: TestResponse, status: int, word: str) -> None:
    assert answer.status_code == status, answer.text
    assert f"[{word}]" in answer.text


def test_a_launch_asks_for_what_the_templates_need_and_no_more(tmp_path: Path):
    with opened(tmp_path) as browser:
        sent = browser.launch()
    assert sent.status_code == 303
    asked = {name: value for name, (value,) in parse_qs(urlsplit(sent.headers["Location"]).query).items()}
    assert sent.headers["Location"].startswith(browser.base.replace("/fhir", "/auth?"))
    assert (asked["aud"], asked["launch"], asked["response_type"]) == (browser.base, "xyz", "code")
    assert (asked["redirect_uri"], asked["code_challenge_method"]) == (f"{PUBLIC}/smart/callback", "S256")
    scopes = asked["scope"].split()
    assert {"launch", "openid", "fhirUser", "patient/Observation.rs", "patient/Patient.r"} <= set(scopes)
    assert not {each for each in scopes if each.partition(".")[2] not in ("", "r", "rs")}
    assert sent.headers["Referrer-Policy"] == "no-referrer" and sent.headers["Cache-Control"] == "no-store"
    cookie = sent.headers["Set-Cookie"]
    assert cookie.startswith("__Host-b12-launch-")
    for part in ("Secure", "HttpOnly", "SameSite=None", "Partitioned", "Path=/", "Max-Age=600"):
        assert part in cookie
    assert asked["state"] not in cookie.partition("=")[2] and "xyz" not in cookie


def test_launches_are_counted_by_how_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    counted: list[str] = []
    monkeypatch.setattr("cds_service.metrics.NotMeasured.launch", lambda _, outcome: counted.append(outcome))
    with opened(tmp_path) as browser:
        browser.launch()
        browser.get("/smart/launch?iss=https://evil.example.org/fhir&launch=xyz")
        browser.get("/smart/callback?state=x&code=y")
    with opened(tmp_path, said=None) as browser:
        browser.launch()
    assert counted == [BEGUN, TURNED_AWAY, TURNED_AWAY, LAUNCH_FAILED]
    assert {each.outcome for each in FAULTS.values()} == {DENIED, TURNED_AWAY, LAUNCH_FAILED} < set(LAUNCHES)


def test_older_servers_are_asked_in_their_notation_and_who_signs_nothing_is_not_asked_who_it_is(tmp_path: Path):
    changed = {
        "capabilities": ["permission-v1"],
        "issuer": "",
        "jwks_uri": "",
        "code_challenge_methods_supported": None,
    }
    with opened(tmp_path, changed=changed) as browser:
        sent = browser.launch()
    (scopes,) = parse_qs(urlsplit(sent.headers["Location"]).query)["scope"]
    assert "patient/Observation.read" in scopes and "openid" not in scopes


@pytest.mark.parametrize("changed, detail", [
    ({"authorization_endpoint": "https://evil.example.org/auth"}, "authorization_endpoint"),
    ({"token_endpoint": "http://169.254.169.254/latest"}, "token_endpoint"),
    ({"token_endpoint": "javascript:alert(1)"}, "token_endpoint"),
    ({"jwks_uri": "https://evil.example.org/jwks"}, "jwks_uri"),
    ({"code_challenge_methods_supported": ["plain"]}, "S256"),
])  # fmt: skip
def test_nobody_is_sent_where_the_operator_has_allowed_nothing(tmp_path: Path, changed: dict, detail: str):
    with opened(tmp_path, changed=changed) as browser:
        answer = browser.launch()
    is_fault(answer, 502, "configuration-unfit")
    assert detail in answer.text and "evil" not in answer.text


@pytest.mark.parametrize("said", [None, [], {"token_endpoint": 1}, "text"])
def test_an_authorization_server_that_says_nothing_of_use_is_named(tmp_path: Path, said: object):
    with opened(tmp_path, said) as browser:
        is_fault(browser.launch(), 502, "configuration")


def test_forged_launches_cost_the_record_system_one_call(tmp_path: Path):
    with loopback.serving() as server:
        app = create_app(settings(tmp_path, fhir=[{"base": server.base, "private": True}]), clock=lambda: TODAY)
        browser = Browser(server.base, Client(app))
        for _ in range(5):
            is_fault(browser.launch(), 502, "configuration")
        assert len(server.paths) == 1


def test_after_ten_minutes_an_answer_is_too_late(tmp_path: Path):
    with opened(tmp_path) as browser:
        (state,) = parse_qs(urlsplit(browser.launch().headers["Location"]).query)["state"]
        browser.after = timedelta(seconds=601)
        answer = browser.get(f"/smart/callback?code=abc&state={state}")
        is_fault(answer, 400, "expired-state")
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
        is_fault(browser.get(f"/smart/callback?code=abc&state={state}"), 400, "unknown-state")


def test_the_answer_of_another_authorization_server_is_not_believed(tmp_path: Path):
    with opened(tmp_path) as browser:
        (state,) = parse_qs(urlsplit(browser.launch().headers["Location"]).query)["state"]
        is_fault(browser.get(f"/smart/callback?code=a&state={state}&iss=https://evil.example.org"), 400, "other-issuer")


@pytest.mark.parametrize("error, word", [("access_denied", "denied"), ("invalid_scope", "refused"),
                                         ("<script>", "refused")])  # fmt: skip
def test_an_error_of_the_authorization_server_is_said_in_our_words(tmp_path: Path, error: str, word: str):
    with opened(tmp_path) as browser:
        (state,) = parse_qs(urlsplit(browser.launch().headers["Location"]).query)["state"]
        answer = browser.get(f"/smart/callback?error={error}&error_description=seCret&state={state}")
    is_fault(answer, 403 if word == "denied" else 502, word)
    assert "seCret" not in answer.text and "<script>" not in answer.text


def test_in_a_frame_without_cookies_a_window_of_its_own_is_offered(tmp_path: Path):
    ehr = "https://ehr.example.org"
    with opened(tmp_path, smart={"client_id": "b12-cds", "frame_ancestors": [ehr]}) as browser:
        first = browser.launch(Sec_Fetch_Dest="iframe")
        assert first.status_code == 303 and "probed=1" in first.headers["Location"]
        kept = browser.get(first.headers["Location"], Sec_Fetch_Dest="iframe")
        assert kept.status_code == 303 and "/auth?" in kept.headers["Location"]
        browser.app._cookies.clear()
        answer = browser.get(first.headers["Location"], Sec_Fetch_Dest="iframe")
    is_fault(answer, 200, "cookies")
    assert f"frame-ancestors {ehr}" in answer.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in answer.headers
    assert 'target="_blank"' in answer.text and "launch=xyz" in answer.text


def test_nobody_frames_the_view_of_a_client_that_names_no_page(tmp_path: Path):
    with opened(tmp_path) as browser:
        answer = browser.get("/smart/callback")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_without_a_card_nothing_is_opened_unless_the_site_wants_it(tmp_path: Path):
    with opened(tmp_path) as browser:
        is_fault(browser.get("/smart/launch"), 400, "not-a-launch")
        is_fault(browser.get(f"/smart/launch?iss={browser.base}"), 400, "not-a-launch")


def test_a_silent_pilot_shows_no_evidence_either(tmp_path: Path):
    with opened(tmp_path, mode="silent") as browser:
        is_fault(browser.launch(), 403, "silent")


SMART = {"client_id": "b12-cds"}
BASE = {"base": "https://ehr.example.org/fhir"}


@pytest.mark.parametrize("table, says", [
    ({"fhir": []}, "needs a FHIR base"),
    ({"fhir": [BASE], "public_base_url": f"{PUBLIC}/b12"}, "without a path"),
    ({"fhir": [BASE], "smart": {**SMART, "key": "gone.jwk"}}, "there is no 'gone.jwk'"),
    ({"fhir": [BASE], "smart": {**SMART, "frame_ancestors": ["http://ehr.example.org"]}}, "https origins"),
    ({"fhir": [BASE], "smart": {**SMART, "authorization_servers": [{"base": "http://a.example.org"}]}}, "encrypted"),
    ({"fhir": [BASE], "smart": {"key": "x"}}, "client_id"),
    ({"fhir": [{**BASE, "tenants": ["a", "b"]}], "tenants": ["a", "b"]}, "several tenants"),
])  # fmt: skip
def test_a_table_that_cannot_be_meant_keeps_the_service_from_starting(tmp_path: Path, table: dict, says: str):
    with pytest.raises(SettingsError, match=says):
        create_app(settings(tmp_path, **table))


def test_two_clients_cannot_be_launched_from_one_base(tmp_path: Path):
    wanted = settings(tmp_path)
    one = {"public_base_url": PUBLIC, "fhir": [BASE], "smart": SMART}
    write(tmp_path, one=one, two={**one, "iss": "https://two.example.org"})
    with pytest.raises(SettingsError, match="whose launch it is"):
        create_app(wanted)


def test_a_public_key_is_no_key_to_sign_with(tmp_path: Path):
    public = own_key(tmp_path).as_dict(private=False)
    (tmp_path / "public.jwk").write_text(json.dumps(public))
    with pytest.raises(SettingsError, match="cannot be used"):
        create_app(settings(tmp_path, fhir=[BASE], smart={**SMART, "key": "public.jwk"}))


@pytest.mark.parametrize("keys, says", [(None, "CDS_SMART_KEYS"), ("", "holds no key"),
                                        ("one " + "A" * 64 + "\n", "another length")])  # fmt: skip
def test_without_a_key_for_the_cookie_it_does_not_start(tmp_path: Path, keys: str | None, says: str):
    found = settings(tmp_path, fhir=[BASE])
    if keys is None:
        found = found.model_copy(update={"smart_keys": None})
    else:
        found.smart_keys.write_text(keys)
    with pytest.raises(SettingsError, match=says):
        create_app(found)


def test_a_cookie_is_read_with_every_key_in_force_and_with_no_other(tmp_path: Path):
    old, new = new_line("old"), new_line("new")
    path = tmp_path / "keys"

    def sealer(*lines: str) -> Sealer:
        path.write_text("\n".join(lines))
        return Sealer(read_keys(path))

    pending = Pending("s", "v", "n", "https://ehr.example.org", 1.0, ("launch",), standalone=False)
    sealed = sealer(old).sealed(pending)
    assert sealer(new, old).opened(sealed) == pending
    for forged in (sealed[:-3] + "AAA", "", "a.b.c.d.e", "x" * 9_000):
        assert sealer(old).opened(forged) is None
    assert sealer(new).opened(sealed) is None
    assert repr(pending) == "Pending(...)"


@pytest.mark.parametrize("asked, granted, covered", [
    ("patient/Observation.rs", "patient/Observation.rs", True),
    ("patient/Observation.rs", "patient/*.rs", True),
    ("patient/Observation.rs", "patient/*.cruds", True),
    ("patient/Observation.rs", "patient/Observation.read", True),
    ("patient/Observation.rs", "user/Observation.rs", True),
    ("patient/Observation.rs", "patient/Observation.r", False),
    ("patient/Observation.rs", "patient/Observation.rs?category=laboratory", False),
    ("patient/Observation.rs", "patient/Condition.rs", False),
    ("patient/Observation.rs", "system/Observation.rs", False),
    ("openid", "openid", True),
    ("openid", "patient/*.rs", False),
])  # fmt: skip
def test_a_scope_is_covered_by_a_wider_one_only(asked: str, granted: str, covered: bool):
    assert is_granted(asked, (granted,)) is covered
