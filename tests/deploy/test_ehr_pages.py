"""The pages for record systems: what is to be typed in is what the service publishes, what is to be copied works."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from cds_service.auth.clients import ClientsFile, load_clients
from cds_service.cdshooks.registry import BY_SERVICE_ID
from cds_service.cdshooks.schemas import schema_of
from cds_service.cli import main
from tests.deploy.manifests import DEPLOY
from tests.hooks.tokens import jwks

TEXTS = {path.stem: path.read_text() for path in (DEPLOY / "ehr").glob("*.md")}
NO_HOOKS = ("emis", "systmone")  # that we know of
PAGES = {name: text for name, text in TEXTS.items() if name not in (*NO_HOOKS, "README")}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def test_there_is_a_page_for_each_system():
    assert PAGES.keys() == {"epic", "oracle", "sandbox", "hapi"}
    assert [name for name in TEXTS if f"]({name}.md)" not in TEXTS["README"]] == ["README"]


@pytest.mark.parametrize("name", NO_HOOKS)
def test_where_no_way_is_known_the_page_says_so_first(name: str):
    assert "**There is no way known to us by which" in TEXTS[name].split("\n\n")[1]


@pytest.mark.parametrize("name", NO_HOOKS)
def test_the_quick_start_shows_what_the_page_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (file,) = re.findall(r"^New file `([\w.]+)`:$", TEXTS[name], re.MULTILINE)
    (request,) = re.findall(r"```json\n(.*?)```", TEXTS[name], re.DOTALL)
    (command,) = re.findall(r"```console\n\$ b12-cds (.*)\n```", TEXTS[name])
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(request)
    done = CliRunner().invoke(main, command.split())
    assert done.exit_code == 0, done.output
    said = " ".join(re.sub("[^ -~]", " ", done.output).split())
    assert "Not used none" in said
    assert "B12 150 ng/L (10 Jan 2026) meets the NICE threshold for deficiency" in said
    assert "for life" in said and "Cause: pernicious anaemia" in said


@pytest.mark.parametrize("page", PAGES)
def test_the_prefetch_to_type_in_is_what_the_service_publishes(page: str):
    published = [
        CliRunner().invoke(main, ["prefetch"], env={"CDS_PREFETCH": name}).output for name in ("minimal", "full")
    ]
    assert blocks(page, "text") == published, "paste the output of b12-cds prefetch"


@pytest.mark.parametrize("page", PAGES)
def test_the_clients_toml_of_each_page_is_accepted(page: str, tmp_path: Path):
    (text,) = blocks(page, "toml")
    for name in re.findall(r'file = "([\w.]+)"', text):
        (tmp_path / name).write_text(json.dumps(jwks()))
    (tmp_path / "clients.toml").write_text(text)
    (client,) = load_clients(tmp_path / "clients.toml").all
    assert client.bases


def test_the_example_of_all_that_can_be_said_is_of_the_right_shape():
    told = tomllib.loads((DEPLOY / "clients.example.toml").read_text())
    Draft202012Validator(schema_of(ClientsFile)).validate(told)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_its_reader_must_agree_on_and_where_it_is_from(page: str):
    text = PAGES[page]
    for word in ("`iss`", "`aud`", "`sub`", "Scopes", "Codes", "Known limits", "Source:", "replac"):
        assert word.lower() in text.lower(), word
    for name in re.findall(r"/cds-services/([\w-]+)", text):
        assert name in BY_SERVICE_ID


@pytest.mark.parametrize("name", TEXTS)
def test_the_links_of_every_page_lead_somewhere(name: str):
    links = re.findall(r"\]\((?!http)([^)#]+)", TEXTS[name])
    assert not [link for link in links if not (DEPLOY / "ehr" / link).exists()]
