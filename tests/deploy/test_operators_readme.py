"""deploy/README.md tells what is so: every table and column that is kept, every metric, every figure, every file."""

from __future__ import annotations

import re
import shlex
import time
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from werkzeug.test import Client

from cds_service.app import create_app
from cds_service.server import server
from cds_service.settings import Settings
from cds_service.store import database
from cds_service.store.tables import METADATA
from cds_service.web import calls
from tests.deploy.counted import counted
from tests.deploy.manifests import DEPLOY, ROOT
from tests.deploy.together import script

README = (DEPLOY / "README.md").read_text()
SECTIONS = re.split(r"^## ", README, flags=re.MULTILINE)


def section(title: str) -> str:
    (found,) = [each for each in SECTIONS if each.startswith(title)]
    return found


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_every_column_that_is_kept_is_told_in_the_row_of_its_table(table):
    (row,) = re.findall(rf"^\| `{table.name}` \|.*$", section("What is kept where"), re.MULTILINE)
    told = set(re.findall(r"`([\w]+)`", row))
    assert {column.name for column in table.columns} <= told


def test_no_table_is_told_that_is_not_there():
    kept = section("What is kept where").partition("| elsewhere |")[0]
    assert re.findall(r"^\| `(\w+)` \|", kept, re.MULTILINE) != []
    assert set(re.findall(r"^\| `(\w+)` \|", kept, re.MULTILINE)) == set(METADATA.tables)


def test_every_metric_that_is_named_is_counted():
    named = set(re.findall(r"\bb12_cds_(\w+)", README))
    assert named
    assert named <= set(counted())


def test_the_figures_are_those_of_the_code():
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    for figure in (
        f"{calls.AT_ONCE} calls at once with {server.SETTINGS['threads']} threads",
        f"PostgreSQL: {database.CONNECTIONS} connections per worker",
        f"take {3 * 2 * database.CONNECTIONS}",
        f"`CDS_STORE_DAYS` ({defaults['store_days']}; 0: for ever)",
        f"`CDS_OVERRIDE_DAYS` ({defaults['override_days']})",
        f"`CDS_ACCEPTED_DAYS` ({defaults['accepted_days']})",
        f"the service's {server.SETTINGS['keepalive']} s",
    ):
        assert figure in README, figure


def test_every_file_that_it_names_is_there():
    links = [link for link in re.findall(r"\]\((?!http)([^)#]+)", README) if not (DEPLOY / link).exists()]
    assert links == []
    rows = re.findall(r"^\| (`.*?) \|", SECTIONS[0], re.MULTILINE)
    named = [name for row in rows for name in re.findall("`(.*?)`", row)]
    assert named
    assert [name for name in named if not (DEPLOY / name).exists()] == []


def test_an_operator_finds_each_thing_under_its_name():
    titles = [each.partition("\n")[0] for each in SECTIONS[1:]]
    assert titles == [
        "First start", "TLS in front", "Keys and secrets", "Upgrade", "Backup and restore", "What is kept where",
        "Monitoring", "Faults", "Scaling", "What was not run",
    ]  # fmt: skip
    assert "fault table" in section("Faults") or "|" in section("Faults")


def test_the_first_start_ends_with_a_signed_call_that_is_answered(tmp_path: Path):
    told = section("First start").replace("\\\n", "")
    new_key, call = (shlex.split(line) for line in re.findall(r"deploy/signed_call\.py (.*)$", told, re.MULTILINE))
    (clients,) = re.findall(r"```toml\n(.*?)```", told, re.DOTALL)
    public, written = Path(new_key[-1]).name, tmp_path / Path(new_key[1]).name
    made = CliRunner().invoke(script().main, [new_key[0], str(written)])
    (tmp_path / public).write_text(made.stdout)
    (tmp_path / "clients.toml").write_text(clients)
    assert tomllib.loads(clients)["client"]["trial"]["keys"]["file"] == public
    said = dict(zip(call[3::2], call[4::2], strict=True))
    assert said["--key"] == new_key[1]
    client = script().client(written, said["--iss"], said["--base"], None, None, None)
    path = f"/cds-services/{call[1]}"
    app = create_app(Settings(clients=tmp_path / "clients.toml", store_url="none"))
    headers = {"Authorization": f"Bearer {client.token(path, int(time.time()))}", "Content-Type": "application/json"}
    answer = Client(app).post(path, data=(ROOT / call[2]).read_bytes(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json["cards"]
