"""`b12-cds mcp`, spoken to by the SDK's own client: one tool, nothing without data, no network, no store, no log."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from cds_service.cli import main
from cds_service.commands.mcp import build_server
from tests.book import service
from tests.hooks.living import PATIENT, b12, problem
from tests.program.test_python_api import PAGE, bundle, examples

Given = TypeVar("Given")
SECRET = "Zebedee-4711"
RECORD = bundle({**PATIENT, "name": [{"family": SECRET}]}, b12(120), problem(text=SECRET))
DAY = "2026-01-15"


def asked(ask: Callable[[Client], Coroutine[Any, Any, Given]]) -> Given:
    """What a client hears from the server in this process."""

    async def session() -> Given:
        async with Client(build_server(service("uk-ng239"), day=lambda: date(2026, 1, 15))) as client:
            return await ask(client)

    return asyncio.run(session())


def assessed(**arguments: object) -> Any:
    return asked(lambda client: client.call_tool("assess_b12", arguments))


def test_there_is_one_tool_which_only_reads_and_says_what_it_wants():
    (tool,) = asked(Client.list_tools).tools
    assert tool.name == "assess_b12"
    assert (tool.annotations.read_only_hint, tool.annotations.open_world_hint) == (True, False)
    assert tool.input_schema["required"] == ["record"]
    assert "MedicationRequest, " in tool.input_schema["properties"]["record"]["description"]
    assert "uk-ng239, us-aafp; uk-ng239" in tool.input_schema["properties"]["pathway"]["description"]
    assert {"label", "rows", "cards", "missing", "unavailable"} <= set(tool.output_schema["required"])


def test_the_server_says_what_it_is_for():
    told = asked(lambda client: client.list_tools() if client.instructions is None else no_wait(client.instructions))
    assert "aged 16 and over" in told
    assert "No card is no reassurance" in told


async def no_wait(text: Given) -> Given:
    return text


def test_a_record_gives_label_rows_sources_and_what_is_missing():
    found = assessed(record=RECORD, as_of=DAY)
    told = found.structured_content
    assert not found.is_error
    assert told["label"] == "confirmed"
    assert "NG239" in next(each for each in told["rows"] if each["name"] == "interpret/deficient")["source"]["title"]
    assert "medicationRequests" in told["unavailable"]
    assert json.loads(found.content[0].text)["label"] == "confirmed"


def test_today_is_used_where_no_day_is_named():
    assert assessed(record=RECORD).structured_content["as_of"] == DAY


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"record": bundle(PATIENT, problem())}, "required data is missing: b12"),
        ({"record": {}}, "holds 0 Patients"),
        ({"record": RECORD, "pathway": "us"}, "known: uk-ng239, us-aafp"),
        ({"record": RECORD, "as_of": "soon"}, "as_of"),
        ({"record": RECORD, "as_of": 0}, "allowed is a day written YYYY-MM-DD"),
        ({"record": RECORD, "as_of": "20260110"}, "allowed is a day written YYYY-MM-DD"),
        ({"record": RECORD, "complete": "yes"}, "complete"),
        ({}, "record"),
        ({"record": RECORD, "asof": "2026-01-10"}, "asof"),
        ({"record": RECORD, "pathways": "us-aafp"}, "pathways"),
        ({"record": [PATIENT]}, "record"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(arguments, line):
    found = assessed(**arguments)
    assert found.is_error
    assert found.structured_content is None
    assert line in found.content[0].text
    assert "birthDate" not in found.content[0].text, "nothing of a record is repeated"


WATCHED = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "sqlite3.connect"):
        sys.stderr.write("CALLED " + event)
        sys.stderr.flush()

sys.addaudithook(watch)
from cds_service.cli import main
main(["mcp"])
"""


def test_over_stdio_it_answers_calls_nobody_keeps_nothing_and_logs_nothing(tmp_path: Path):
    seen = tmp_path / "seen.txt"

    async def session(errors: Any) -> list[Any]:
        started = StdioServerParameters(
            command=sys.executable, args=["-c", WATCHED], cwd=tmp_path, env=dict(os.environ)
        )
        async with Client(stdio_client(started, errlog=errors)) as client:
            calls = ({"record": RECORD, "as_of": DAY}, {"record": {"x": SECRET}}, {"record": SECRET, "as_of": SECRET})
            return [await client.call_tool("assess_b12", each) for each in calls]

    with seen.open("w") as errors:
        answers = asyncio.run(session(errors))
    assert [each.is_error for each in answers] == [False, True, True]
    assert seen.read_text() == ""
    assert [each.name for each in tmp_path.iterdir()] == ["seen.txt"]


def test_the_client_of_the_document_runs_and_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
):
    """As it stands there: `b12-cds` is found by its name, and spoken to over its standard input and output."""
    program = tmp_path / "b12-cds"
    program.write_text(f"#!{sys.executable}\nfrom cds_service.cli import main\nmain()\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
    first, second = examples()
    exec(compile(first.partition("\nanswer = ")[0] + second, PAGE.name, "exec"), {})
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "confirmed"
    assert "interpret/deficient NICE guideline NG239, Table 1" in lines


def test_without_the_extra_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    done = CliRunner().invoke(main, ["mcp"])
    assert (done.exit_code, done.stderr) == (
        2,
        "b12-cds: mcp: the extra is not installed; allowed: pip install 'b12-cds[mcp]'\n",
    )
