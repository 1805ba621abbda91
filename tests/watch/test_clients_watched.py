"""The table watch of a client in clients.toml: what is accepted, and what keeps everything from starting."""

from __future__ import annotations

import json

import pytest

from cds_service.auth.clients import load_clients
from cds_service.settings import SettingsError
from tests.hooks.tokens import jwks, key

BASE = "https://ehr.example.org/fhir"
CLIENT = f"""
[client.ward]
iss = "https://ehr.example.org/fhir"
keys = {{ file = "keys.json" }}
public_base_url = "https://cds.example.org"
fhir = [{{ base = "{BASE}", anonymous = true }}, {{ base = "https://other.example.org/fhir" }}]
[client.ward.watch]
fhir = "{BASE}"
"""


def loaded(folder, told="", client=CLIENT, private=None):
    """The watch of the client with these lines."""
    (folder / "keys.json").write_text(json.dumps(jwks()))
    (folder / "watch.jwk.json").write_text(json.dumps(private or key("ES384").as_dict(private=True)))
    (folder / "clients.toml").write_text(client + told)
    return load_clients(folder / "clients.toml").all[0].watch


def test_a_watcher_begins_in_silent_mode(tmp_path):
    found = loaded(tmp_path)
    assert not found.active and found.least == "warning" and found.credentials is None


def test_tasks_that_nobody_owns_keep_everything_from_starting(tmp_path):
    with pytest.raises(SettingsError, match="writes Tasks that nobody owns; allowed with an owner"):
        loaded(tmp_path, 'mode = "active"')
    for owned in ('owner = "Organization/b12-clinic"', 'performer = "practice nurse"'):
        assert loaded(tmp_path, f'mode = "active"\n{owned}').active


TOKEN = 'client_id = "b12"\nkey = "watch.jwk.json"\ntoken_url = "https://ehr.example.org/token"\nfrom = "info"'


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_token_is_asked_for_with_a_key_of_smart_backend_services(tmp_path, algorithm):
    found = loaded(tmp_path, TOKEN, private=key(algorithm).as_dict(private=True))
    assert found.least == "info"
    assert (found.credentials.client_id, found.credentials.algorithm) == ("b12", algorithm)
    assert key(algorithm).as_dict(private=True)["d"] not in repr(found)


@pytest.mark.parametrize(
    ("told", "private", "fault"),
    [
        ('client_id = "b12"', None, "a token needs client_id, key and token_url: give all three, or none"),
        (TOKEN.replace("https://ehr.example.org/token", "http://ehr.example.org/token"), None, "is not encrypted"),
        (TOKEN, key("ES256").as_dict(private=True), "holds a key that cannot be used; allowed: one"),
        (TOKEN, key("ES384").as_dict(private=False), "holds a key that cannot be used"),
        (TOKEN, {"kty": "EC"}, "holds no key that can be read"),
        ('owner = "Patient/1"', None, "owner"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(tmp_path, told, private, fault):
    with pytest.raises(SettingsError, match=fault):
        loaded(tmp_path, told, private=private)


def test_only_a_base_of_the_client_is_watched_and_one_that_wants_a_token_with_one(tmp_path):
    with pytest.raises(SettingsError, match="is none of the client's FHIR bases"):
        loaded(tmp_path, client=CLIENT.replace(f'fhir = "{BASE}"', 'fhir = "https://elsewhere.example.org/fhir"'))
    with pytest.raises(SettingsError, match="asks for no token"):
        loaded(tmp_path, client=CLIENT.replace(f'fhir = "{BASE}"', 'fhir = "https://other.example.org/fhir"'))
