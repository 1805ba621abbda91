"""clients.toml: what it may say, and that a fault names its place, what is wrong, and what is allowed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cds_service.auth.admission import RateLimit, finder_of
from cds_service.auth.clients import CARDS, SANDBOX, SANDBOX_KID, Client, Clients, load_clients
from cds_service.cdshooks.cards import CardOptions
from cds_service.settings import SettingsError
from cds_service.web.access import remarks
from tests.hooks.tokens import CLIENT, ISS, NOW, PUBLIC, Gated, jwks, key, write

EXAMPLE = Path(__file__).parents[2] / "deploy" / "clients.example.toml"


def only(folder: Path, *top: str, **changed: Any) -> Client:
    """The one client of a file."""
    (client,) = load_clients(write(folder, *top, main=changed)).all
    return client


def faults(folder: Path, *top: str, **clients: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        load_clients(write(folder, *top, **clients))
    line = str(raised.value)
    assert line.startswith("CDS_CLIENTS: clients.toml")
    assert "\n" not in line
    return line


def fault(folder: Path, **changed: Any) -> str:
    return faults(folder, main=changed)


def test_item_125_the_defaults_are_the_careful_ones(tmp_path):
    clients = load_clients(write(tmp_path))
    (client,) = clients.all
    assert (clients.discovery_open, clients.memory_per_process) == (True, False)
    assert client.issuer.algorithms == ("ES384", "RS384")
    assert client.issuer.tenants == client.issuer.audiences == client.issuer.key_addresses == client.bases == ()
    assert (client.name, client.once, client.silent, client.on_missing) == ("main", True, False, "412")
    assert client.seconds == {}
    assert (client.pathway, client.site, client.ca_file, dict(client.cards)) == (None, None, None, {})


def test_everything_that_can_be_said_of_a_client_is_read(tmp_path):
    (tmp_path / "site").mkdir()
    base = {"base": "https://ehr.example.org/fhir/", "anonymous": True, "private": True, "tenants": ["north"]}
    client = only(
        tmp_path,
        'discovery = "closed"',
        keys={"url": "https://ehr.example.org/keys.json?a=1", "private": True, "jku": ["https://ehr.example.org/k"]},
        algorithms=["RS256", "PS384", "ES256"],
        public_base_url=PUBLIC + "/",
        audiences=["sand_man"],
        tenants=["north", "south"],
        fhir=[base, {"base": "http://hapi:8080/fhir", "private": True}],
        pathway="us-aafp",
        site="site",
        mode="silent",
        on_missing="card",
        seconds={"patient-view": 0.8, "order-sign": 3},
        selection_behaviour="at-most-one",
        replacing="delete-and-create",
        order_details=False,
        max_cards=2,
        max_suggestions=1,
        jti="until-exp",
        rate=60,
    )
    assert client.issuer.base_url == PUBLIC
    assert client.issuer.key_addresses == ("https://ehr.example.org/k", "https://ehr.example.org/keys.json?a=1")
    assert (client.keys.url, client.keys.private) == ("https://ehr.example.org/keys.json?a=1", True)
    assert client.issuer.algorithms == ("RS256", "PS384", "ES256")
    first, second = client.bases
    assert (first.base.url, first.anonymous, first.private, first.tenants) == (
        "https://ehr.example.org/fhir", True, True, ("north",)
    )  # fmt: skip
    assert (second.anonymous, second.private, second.tenants) == (False, True, ())
    assert (client.pathway, client.site, client.silent, client.on_missing) == (
        "us-aafp", tmp_path / "site", True, "card"
    )  # fmt: skip
    assert client.seconds == {"patient-view": 0.8, "order-sign": 3}
    assert (client.once, client.rate) == (False, 60)
    assert set(client.cards) == set(CARDS) <= set(CardOptions.__slots__)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"iss": ...}, "client \"main\": missing 'iss'"),
        ({"keys": ...}, "missing 'keys'"),
        ({"public_base_url": ...}, "missing 'public_base_url'"),
        ({"iss": ""}, "'iss' is empty"),
        ({"isss": "x"}, "unknown key 'isss'. Did you mean 'iss'? Known: "),
        ({"algorithms": ["HS256"]}, "'algorithms' entry 1 is 'HS256'."),
        ({"algorithms": ["none"]}, "Allowed: ES384, RS384, ES256, RS256, PS384"),
        ({"algorithms": []}, "'algorithms' has 0 entries; it needs at least 1"),
        ({"mode": "quiet"}, "'mode' is 'quiet'. Allowed: active, silent"),
        ({"on_missing": "200"}, "'on_missing' is '200'."),
        ({"cds_hooks": "1.0"}, "Allowed: 2.0, 3.0"),
        ({"cds_hooks": 3.0}, '\'cds_hooks\' is 3.0, which is no text in quotation marks. Allowed: "2.0", "3.0"'),
        ({"algorithms": [True]}, "'algorithms' entry 1 is true, which is no text in quotation marks. Allowed: \"ES"),
        ({"seconds": {"patient-vew": 1}}, "unknown key 'patient-vew'. Did you mean 'patient-view'?"),
        ({"seconds": {"patient-view": 0}}, "'seconds' 'patient-view' is 0; it must be at least 0.1"),
        ({"jti": "never"}, "'jti' is 'never'. Allowed: once, until-exp"),
        ({"rate": 0}, "'rate' is 0; it must be at least 1"),
        ({"rate": "much"}, "'rate' is 'much'; it must be integer"),
        ({"selection_behaviour": "all"}, "Allowed: any, alternatives, at-most-one"),
        ({"replacing": "x"}, "Allowed: update, delete-and-create, create"),
        ({"max_cards": 0}, "'max_cards' is 0; it must be at least 1"),
        ({"fhir": [{}]}, "'fhir' entry 1 missing 'base'"),
        ({"pathway": "../x"}, "'pathway' is '../x'; it must match"),
    ],
    ids=lambda value: json.dumps(value, default=str)[:40],
)
def test_a_wrong_shape_is_named_with_what_is_allowed(tmp_path, changed, says):
    assert says in fault(tmp_path, **changed)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"keys": {}}, 'client "main" keys: give either file, a JSON Web Key Set beside clients.toml, or url'),
        ({"keys": {"file": "keys.json", "url": "https://x.org/k"}}, "keys: give either file"),
        ({"keys": {"url": "http://x.org/k"}}, "keys url: is not encrypted; allowed: an https address"),
        ({"keys": {"url": "x.org"}}, "keys url: is not a plain http or https address; allowed: an https address"),
        ({"keys": {"file": "none.json"}}, "keys file: there is no 'none.json'; allowed: a file, named beside clients"),
        ({"public_base_url": "http://cds.example.org"}, "public_base_url: is not encrypted; allowed: an https address"),
        ({"public_base_url": "https://u:p@cds.example.org"}, "public_base_url: is not a plain http or https address"),
        ({"fhir": [{"base": "https://kh-köln.example/fhir"}]}, "than a to z is written as xn--"),
        ({"site": "none"}, "site: there is no 'none'; allowed: a folder, named beside clients.toml"),
        ({"ca_file": "none"}, "ca_file: there is no 'none'"),
        ({"ca_file": "keys.json"}, "ca_file: holds no certificates in PEM form"),
        ({"fhir": [{"base": "https://x.org"}, {"base": "http://x.org"}]}, "fhir entry 2 base: is not encrypted; all"),
        ({"fhir": [{"base": "https://localhost/fhir"}]}, "is on this machine; allowed with private = true"),
        ({"fhir": [{"base": "https://x.org", "tenants": ["a"]}]}, "fhir entry 1 tenants: no tenant 'a'. Known: none"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_what_cannot_be_meant_is_named_with_what_is_allowed(tmp_path, changed, says):
    assert says in fault(tmp_path, **changed)


def test_all_faults_are_told_at_once_and_no_value_that_may_be_secret(tmp_path):
    line = faults(tmp_path, one={"site": "none", "public_base_url": "https://u:hunter2@x.org"}, two={"ca_file": "none"})
    assert line.count("; ") >= 3
    assert 'client "one" site' in line
    assert 'client "two" ca_file' in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "missing 'client'"),
        ("[client]", "clients.toml: 'client' has 0 entries; it needs at least 1"),
        ("client = 1", "'client' is 1; it must be table"),
        ('["client"."a b"]', "is 'a b'; it must match"),
        ("= 1", "is not TOML: "),
        ("discovery = 1", '\'discovery\' is 1, which is no text in quotation marks. Allowed: "open", "closed"'),
        ("nonsense = 1", "unknown key 'nonsense'"),
    ],
)
def test_a_file_that_names_no_client_is_no_file_of_clients(tmp_path, text, says):
    path = tmp_path / "clients.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_clients(path)
    assert says in str(raised.value)
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="is not text in UTF-8"):
        load_clients(path)
    with pytest.raises(SettingsError, match="there is no such file that can be read"):
        load_clients(tmp_path)


def test_items_122_and_128_a_file_of_keys_holds_public_keys_only(tmp_path):
    private = {"keys": [key().as_dict(private=True)]}
    for wrong, says in (
        (private, "keys file: key 1 is a private or shared key"),
        ({}, "keys file: not a JSON Web Key Set"),
        ({"keys": []}, "keys file: holds no key for signatures; allowed: EC and RSA keys for ES256, ES384"),
        (jwks(key(), kid=""), "keys file: key 1 has no kid"),
    ):
        (tmp_path / "own.json").write_text(json.dumps(wrong))
        line = fault(tmp_path, keys={"file": "own.json"})
        assert says in line
        assert str(private["keys"][0]["d"]) not in line


def test_item_122_an_issuer_is_one_client(tmp_path):
    line = faults(tmp_path, one={}, two={})
    assert 'client "two" iss: is that of client "one" too' in line


def test_the_sandbox_is_for_testing_only(tmp_path):
    assert "the Sandbox's private key is public" in fault(tmp_path, iss=SANDBOX)
    assert "allow_sandbox = true" in fault(tmp_path, iss=SANDBOX + "/")
    (tmp_path / "sandbox.json").write_text(json.dumps(jwks(key("ES384", SANDBOX_KID))))
    assert "the Sandbox's private key" in fault(tmp_path, keys={"file": "sandbox.json"})
    client = only(tmp_path, "allow_sandbox = true", iss=SANDBOX, keys={"file": "sandbox.json"})
    assert "anybody can call: for testing only" in " ".join(remarks(Clients((client,)), kept=True))


def test_item_128_keys_that_are_given_need_nobody_to_be_fetched_from(tmp_path):
    find = finder_of(only(tmp_path), print)
    assert find("kid-ES384", "ES384", NOW).kid == "kid-ES384"
    assert find("kid-ES384", "RS384", NOW) is None


def test_the_start_tells_what_an_operator_should_know(tmp_path):
    client = only(tmp_path, fhir=[{"base": "http://hapi:8080/fhir", "private": True}])
    told = " ".join(remarks(Clients((client,)), kept=False))
    assert "http://hapi:8080/fhir is not encrypted, no token is sent there" in told
    assert "a restart forgets them" in told
    assert "no feedback is taken" in told
    assert not list(remarks(Clients((only(tmp_path),)), kept=True))


def test_a_pathway_that_does_not_exist_is_told_with_those_that_do(tmp_path):
    with pytest.raises(SettingsError, match=r"client .main. pathway: no pathway 'none'; allowed: .*uk-ng239"):
        Gated(tmp_path, main={"pathway": "none"})


def test_a_rate_gives_a_minutes_worth_at_once_and_then_little_by_little():
    rate = RateLimit(per_minute=60)
    assert [rate.wait(100.0) for _ in range(61)] == [0] * 60 + [1]
    assert rate.wait(100.5) == 1
    assert rate.wait(101.0) == 0
    assert [rate.wait(1_000.0) for _ in range(61)] == [0] * 60 + [1]
    assert RateLimit(per_minute=1).wait(0.0) == 0


def test_the_example_is_a_file_that_works_once_its_keys_are_there(tmp_path):
    text = EXAMPLE.read_text()
    for client in tomllib.loads(text)["client"].values():
        if "file" in client["keys"]:
            (tmp_path / client["keys"]["file"]).write_text(json.dumps(jwks()))
        if "site" in client:
            (tmp_path / client["site"]).mkdir()
    (tmp_path / "clients.toml").write_text(text)
    assert load_clients(tmp_path / "clients.toml").all
    assert CLIENT["iss"] == ISS
