"""Settings: what the environment may say, and that nothing starts without a decision who may call."""

from __future__ import annotations

import gc
from datetime import UTC

import pytest

from cds_service.app import GC_THRESHOLDS, create_app, now
from cds_service.content.faults import ContentError
from cds_service.settings import Settings, SettingsError, load_settings
from tests.hooks import living

NAMES = ("DEMO", "PATHWAY", "PREFETCH", "TIME_ZONE", "FHIR_BASES", "ORIGINS", "SITE_DIR", "CLIENTS", "STORE_URL")


@pytest.fixture
def environment(monkeypatch):
    """Sets CDS_ variables, after all of them were taken away."""
    for name in NAMES:
        monkeypatch.delenv(f"CDS_{name}", raising=False)

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"CDS_{name}", value)

    return put


@pytest.mark.usefixtures("environment")
def test_the_defaults_are_the_published_ones():
    settings = load_settings()
    assert (settings.demo, settings.pathway, settings.prefetch) == (False, "uk-ng239", "full")
    assert settings.zone is UTC
    assert settings.fhir_bases == settings.origins == ()
    assert settings.site_dir is settings.clients is None


def test_every_setting_comes_from_its_variable(environment, tmp_path):
    environment(
        DEMO="1",
        PATHWAY="us-aafp",
        PREFETCH="minimal",
        TIME_ZONE="Europe/London",
        FHIR_BASES="https://a.example.org/fhir/, http://10.0.0.5:8080/fhir",
        ORIGINS="https://App.example.org, http://b.example.org:81,",
        SITE_DIR=str(tmp_path),
        CLIENTS="clients.toml",
        STORE_URL="sqlite:///x",
    )
    settings = load_settings()
    assert (settings.demo, settings.pathway, settings.prefetch) == (True, "us-aafp", "minimal")
    assert str(settings.zone) == "Europe/London"
    assert settings.fhir_bases == ("https://a.example.org/fhir", "http://10.0.0.5:8080/fhir")
    assert settings.origins == ("https://app.example.org", "http://b.example.org:81")
    assert settings.site_dir == tmp_path
    assert (str(settings.clients), settings.store_url) == ("clients.toml", "sqlite:///x")


def test_an_empty_variable_is_one_that_is_not_set(environment):
    environment(**dict.fromkeys(NAMES, ""))
    assert load_settings() == Settings()


def test_faults_are_one_line_and_do_not_repeat_the_value(environment):
    environment(FHIR_BASES="https://user:hunter2@a.example.org/fhir", PREFETCH="hunter2", ORIGINS="hunter2")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    line = str(raised.value)
    assert "\n" not in line
    assert "hunter2" not in line
    assert all(f"CDS_{name}: " in line for name in ("FHIR_BASES", "PREFETCH", "ORIGINS"))


def test_without_demo_mode_there_is_no_application_for_any_server():
    with pytest.raises(SettingsError, match="without demo mode the service does not start"):
        create_app(Settings(demo=False))


def test_a_pathway_that_does_not_exist_is_told_with_those_that_do():
    with pytest.raises(SettingsError, match="CDS_PATHWAY: no pathway of that name; allowed: uk-ng239"):
        create_app(Settings(demo=True, pathway="none"))


def test_a_faulty_site_folder_is_told(tmp_path):
    (tmp_path / "nonsense.toml").write_text("x = 1")
    with pytest.raises(ContentError):
        create_app(Settings(demo=True, site_dir=tmp_path))


def test_loading_leaves_the_garbage_collector_little_to_do():
    living.app()
    assert gc.get_threshold() == GC_THRESHOLDS
    assert gc.get_freeze_count() > 10_000


def test_the_clock_knows_its_zone():
    assert now().tzinfo is UTC
