"""What an operator reads at the start: settings that are none, that work against each other, or that are not set."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from cds_service.app import create_app
from cds_service.settings import Settings, start_remarks
from cds_service.store.pseudonyms import new_line
from tests.hooks.calling import ENVIRON, PATH, body
from tests.hooks.living import TODAY, b12, bundle, prefetch
from tests.hooks.tokens import Gated, Heard


def told(*named: str, **settings: Any) -> list[str]:
    return list(start_remarks(Settings(**{"store_url": "none", "time_zone": "UTC", **settings}), named))


def about(word: str, remarks: Iterable[str]) -> list[str]:
    return [each for each in remarks if word in each]


def remarks_of(gated: Gated) -> list[str]:
    return [line["remark"] for line in gated.heard.events("start")]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "store.keys"
    file.write_text(new_line("k1") + "\n")
    file.chmod(0o600)
    return file


def test_a_name_that_is_no_setting_is_told_with_the_one_that_may_be_meant():
    (remark,) = told("CDS_OVERIDE_DAYS", "CDS_STORE_DAYS", "cds_demo", "CDS_FHIR_TOKEN", "HOME")
    assert remark == "CDS_OVERIDE_DAYS is no setting and has no effect; is CDS_OVERRIDE_DAYS meant?"
    assert told("CDS_XYZZY") == ["CDS_XYZZY is no setting and has no effect"]


def test_a_misspelt_setting_is_told_at_a_real_start(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("CDS_OVERIDE_DAYS", "0")
    assert about("CDS_OVERIDE_DAYS is no setting", remarks_of(Gated(tmp_path)))


def test_a_misspelt_secret_is_told_too(tmp_path: Path):
    (tmp_path / "CDS_STORE_ULR").write_text("postgresql://a:hunter2@c/d")
    (tmp_path / "database_password").write_text("hunter2")
    (remark,) = told(secrets_dir=tmp_path)
    assert remark.startswith("CDS_STORE_ULR is no setting")
    assert "hunter2" not in remark


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://a:hunter2@db.example.org/d", "the store is PostgreSQL"),
        ("sqlite:////var/lib/b12/store.sqlite", "the store is SQLite, in the file store.sqlite"),
    ],
)
def test_the_kind_of_store_is_told_and_nothing_secret(url: str, says: str, keys: Path):
    assert told(store_url=url, store_keys=keys) == [says]


def test_a_store_that_nobody_chose_is_told(tmp_path: Path, keys: Path):
    (remark,) = told(store_url="", store_keys=keys)
    assert remark == "CDS_STORE_URL is not set: the store is SQLite, in the file b12-cds.sqlite of the working folder"
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (remark,) = told(store_url="", store_keys=keys, secrets_dir=secrets)
    assert remark.startswith("CDS_STORE_URL is not set, nor is a file of that name in CDS_SECRETS_DIR: the store is")
    assert told(store_url="", demo=True) == ["the store is SQLite, in a temporary file that is gone at the end"]


def test_the_store_is_told_at_a_real_start(tmp_path: Path, keys: Path):
    url = f"sqlite:///{tmp_path}/store.sqlite"
    gated = Gated(tmp_path, settings={"store_url": url, "store_keys": keys})
    assert about("the store is SQLite", remarks_of(gated))
    gated.close()


def test_a_store_that_forgets_before_an_override_ends_is_told():
    kept = {"store_url": "sqlite:///x"}
    (_, remark) = told(**kept, store_days=30)
    assert remark == "CDS_STORE_DAYS (30) is less than CDS_OVERRIDE_DAYS (90): after 30 days an override is forgotten"
    (_, _, remark) = told(**kept, store_days=10)
    assert remark == "CDS_STORE_DAYS (10) is less than CDS_ACCEPTED_DAYS (14): after 10 days an acceptance is forgotten"
    for days in (90, 0):
        assert not about("CDS_STORE_DAYS", told(**kept, store_days=days))
    assert not about("CDS_STORE_DAYS", told(store_days=30)), "nothing is kept"


def test_a_key_file_that_everybody_can_read_is_told_and_taken(tmp_path: Path, keys: Path):
    kept = {"store_url": f"sqlite:///{tmp_path}/store.sqlite", "store_keys": keys}
    for mode in (0o600, 0o440, 0o400):
        keys.chmod(mode)
        assert not about("CDS_STORE_KEYS", told(**kept))
    keys.chmod(0o644)
    gated = Gated(tmp_path, settings=kept)
    (remark,) = about("CDS_STORE_KEYS", remarks_of(gated))
    assert remark == "CDS_STORE_KEYS: every user of this machine can read the key file; better chmod 600 (or 640)"
    gated.close()


def test_fhir_bases_beside_clients_are_told_to_have_no_effect():
    bases = ("https://ehr.example.org/fhir",)
    (remark,) = told(fhir_bases=bases)
    assert remark.startswith("CDS_FHIR_BASES is for demo mode and the command line")
    assert told(fhir_bases=bases, demo=True) == []


def test_a_card_for_missing_data_beside_clients_is_told_to_have_no_effect():
    (remark,) = about("CDS_ON_MISSING", told(on_missing="card"))
    assert remark.endswith("each client says its own, on_missing")
    assert told(on_missing="card", demo=True) == []


def test_a_time_zone_that_nobody_has_stated_is_said_at_the_start_and_not_in_a_demo():
    unset = Settings(store_url="none")
    assert about("CDS_TIME_ZONE is not set", start_remarks(unset, ()))
    assert not about("CDS_TIME_ZONE", start_remarks(unset, (), "Europe/London"))
    assert not about("CDS_TIME_ZONE", told(time_zone="UTC"))
    assert not about("CDS_TIME_ZONE", start_remarks(Settings(store_url="none", demo=True), ()))


@pytest.mark.parametrize(
    ("when", "zone", "said"),
    [
        ("2026-01-10T00:30:00+01:00", None, True),
        ("2026-01-10T00:30:00Z", None, False),
        ("2026-01-10T00:30:00+00:00", None, False),
        ("2026-01-10", None, False),
        ("2026-01-10T00:30:00+01:00", "UTC", False),
        ("2026-01-10T00:30:00+01:00", "Europe/Berlin", False),
    ],
)
def test_a_time_of_another_zone_is_said_where_nobody_has_stated_one(when, zone, said):
    stated = {} if zone is None else {"time_zone": zone}
    request = body(prefetch=prefetch(b12=bundle(b12(150, effectiveDateTime=when))))
    with redirect_stderr(Heard()) as heard:
        app = create_app(Settings(demo=True, store_url="none", **stated), clock=lambda: TODAY)
        Client(app).post(PATH, json=request, environ_overrides=ENVIRON)
    (line,) = heard.events("call")
    assert ("time-zone-not-stated" in line["warnings"]) == said
