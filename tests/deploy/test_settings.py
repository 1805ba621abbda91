"""What deploy/ says of settings, commands and addresses is what the service has; and no secret lies in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from click import Context, Group

from cds_service.cli import main
from cds_service.settings import PREFIX, Settings, SettingsError, load_settings
from tests.deploy.image import DOCKERFILE, stages
from tests.deploy.manifests import CALLS, DEPLOY, METRICS, ROOT, compose

NOT_OURS = {"target", "__pycache__", "secrets", "clients"}
ELSEWHERE = {"CDS_FHIR_TOKEN"}  # of one command, not of the service
TEXTS = {path: path.read_text() for path in DEPLOY.rglob("*") if path.is_file() and not NOT_OURS & set(path.parts)}
LISTING = subprocess.run(["git", "ls-files", "deploy"], cwd=ROOT, capture_output=True, text=True, timeout=60)
CHECKED_IN = LISTING.stdout.split()


def known_settings() -> set[str]:
    return {PREFIX + name.upper() for name in Settings.model_fields} | ELSEWHERE


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_that_is_named_exists(path: Path):
    assert set(re.findall(r"\bCDS_[A-Z_]+\b", TEXTS[path])) <= known_settings()


def command(words: list[str]) -> object:
    found: object = main
    for word in words:
        if not isinstance(found, Group):
            break
        assert word in found.list_commands(Context(found)), f"there is no command {word!r}"
        found = found.get_command(Context(found), word)
    return found


@pytest.mark.parametrize(
    "path", [path for path in TEXTS if path.suffix == ".md"], ids=lambda path: str(path.relative_to(DEPLOY))
)
def test_every_command_that_is_named_exists(path: Path):
    for words in re.findall(r"b12-cds ((?:[a-z][a-z-]+ ?)+)", "\n".join(code(TEXTS[path]))):
        command(words.split())


def code(text: str) -> list[str]:
    """What a Markdown text sets as code."""
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    return blocks + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_what_containers_start_exists():
    command(stages(DOCKERFILE.read_text())[-1].said("CMD").replace('"', "").strip("[]").split(", ")[:1])
    command(compose()["services"]["upgrade"]["command"])
    for args in re.findall(
        r"args: \[([a-z, ]+)", "".join(path.read_text() for path in DEPLOY.glob("chart/templates/*.yaml"))
    ):
        command(args.strip(" ,").split(", "))


def test_the_ports_agree_everywhere():
    service = compose()["services"]["service"]
    assert service["environment"]["CDS_METRICS_PORT"] == str(METRICS)
    last = stages(DOCKERFILE.read_text())[-1]
    assert last.said("EXPOSE") == str(CALLS)
    assert f'"--port", "{CALLS}"' in last.said("CMD")
    assert f"'127.0.0.1', {CALLS}" in last.said("HEALTHCHECK")
    assert f"service:{CALLS};" in (DEPLOY / "proxy/nginx.conf").read_text()


def test_where_the_image_writes_there_is_memory():
    folder = stages(DOCKERFILE.read_text())[-1].said("WORKDIR")
    assert f"TMPDIR={folder}" in stages(DOCKERFILE.read_text())[-1].said("ENV")
    for name in ("service", "upgrade"):
        assert compose()["services"][name]["tmpfs"][0].startswith(f"{folder}:")


def test_the_settings_of_the_containers_are_accepted(tmp_path: Path, monkeypatch):
    values = compose()["services"]["service"]["environment"] | {"CDS_SECRETS_DIR": str(tmp_path)}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert load_settings().workers == 2


def test_a_secret_is_read_from_its_file_and_the_environment_goes_first(tmp_path: Path, monkeypatch):
    for name in known_settings():
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "CDS_STORE_URL").write_text("postgresql+psycopg://a:b@c/d\n")
    (tmp_path / "store_keys").write_text("no setting")
    monkeypatch.setenv("CDS_SECRETS_DIR", str(tmp_path))
    assert load_settings().store_url == "postgresql+psycopg://a:b@c/d"
    monkeypatch.setenv("CDS_STORE_URL", "none")
    assert load_settings().store_url == "none"
    monkeypatch.setenv("CDS_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="CDS_SECRETS_DIR: allowed: a folder that exists"):
        load_settings()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_no_secret_and_no_registry_is_in_it(path: Path):
    text = TEXTS[path]
    assert not re.search(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\"d\" *: *\"[\w-]{20,}|eyJ[\w-]{10,}\.[\w-]+\.[\w-]+", text
    )
    passwords = re.findall(r"\w://\w+:([^@\s/]+)@", text)
    assert set(passwords) <= {"REPLACE-ME", "%s"}
    assert not re.search(r"\b(pypi\.org|pythonhosted|docker\.io|ghcr\.io|quay\.io|gcr\.io|registry\.\w+\.\w+)", text)


def test_the_folders_for_secrets_are_not_checked_in():
    assert not [name for name in CHECKED_IN if name.startswith(("deploy/secrets/", "deploy/clients/"))]
