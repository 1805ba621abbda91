"""`b12-cds conform URL` as a person calls it: over HTTP, as text and JSON, and with options that cannot be used."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.commands.conform import lines
from cds_service.conform.checklist import FAIL, Item
from cds_service.conform.checklist import Result as CheckedItem
from tests import golden
from tests.contract.calling import Service, serving
from tests.hooks.tokens import key


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["conform", *arguments])


@pytest.fixture(scope="module")
def ours() -> Service:
    with serving("http://127.0.0.1:1/fhir") as running:
        yield running


def test_a_service_is_tried_over_http_and_the_report_is_json(ours: Service):
    done = run(f"http://127.0.0.1:{ours.port}/cds-services/", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["service"] == f"http://127.0.0.1:{ours.port}"
    assert report["broken"] == []
    assert report["summary"].keys() == {"pass", "not tried"}
    assert report["summary"]["pass"] > 60
    (summary,) = [each for each in report["items"] if each["item"] == "80"]
    assert (summary["level"], summary["result"], summary["published"]) == ("M", "pass", ["cds-hooks_2.0@83"])
    assert all(each["reasons"] for each in report["items"] if each["result"] == "not tried")


def test_a_request_of_ones_own_takes_the_place_of_the_example(ours: Service, tmp_path: Path):
    pair = golden.Pair("severe-anaemia")
    done = run(f"http://127.0.0.1:{ours.port}", "--request", str(pair.request))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert any(line.startswith("pass         80  M     Summary below 140") for line in lines)
    assert "0 fail" in done.output
    assert lines[-1].startswith("Items are those of docs/protocol-checklist.md.")


def test_how_access_is_used_is_tried_over_http_where_a_fhir_server_is_asked_for(ours: Service):
    done = run(f"http://127.0.0.1:{ours.port}", "--fhir-listen", "127.0.0.1:0", "--json")
    found = {each["item"]: each["result"] for each in json.loads(done.stdout)["items"]}
    assert {found[number] for number in ("54", "58", "62", "64", "65", "66")} == {"pass"}
    taken = run(f"http://127.0.0.1:{ours.port}", "--fhir-listen", f"127.0.0.1:{ours.port}")
    assert taken.exit_code == 2
    assert f"--fhir-listen: cannot listen on 127.0.0.1:{ours.port}: Address already in use" in taken.output


def test_a_service_that_cannot_be_reached_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        refused = run(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert refused.exit_code == 1
    assert refused.output.endswith("GET /cds-services: the service cannot be reached: the connection was refused\n")


def test_a_service_that_breaks_a_must_ends_with_1_and_names_it(monkeypatch: pytest.MonkeyPatch, ours: Service):
    monkeypatch.setattr("cds_service.conform.messages.LONGEST_SUMMARY", 10)
    done = run(f"http://127.0.0.1:{ours.port}")
    assert done.exit_code == 1
    assert done.output.startswith("fail         80  M     Summary below 140 characters, counted in UTF-16 units.")
    assert "What must be and is not: item 80" in done.output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("http://cds.example.org",), "URL: an address without encryption (http) is called on this machine only"),
        (("cds",), "URL: not a plain http or https address; give an address like https://cds.example.org"),
        (("http://127.0.0.1:1", "--iss", "x"), "--key and --iss belong together"),
        (("http://127.0.0.1:1", "--key", "/nowhere", "--iss", "x"), "/nowhere: cannot be read"),
        (("http://127.0.0.1:1", "--origin", "x"), "--origin: not a plain http or https address"),
        (("http://127.0.0.1:1", "--fhir-listen", "8099"), "--fhir-listen: give HOST:PORT, an address of this machine"),
        (("http://127.0.0.1:1", "--patient", "x"), "--patient: there is no example patient 'x'"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line(options: tuple[str, ...], says: str):
    refused = run(*options)
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
    assert refused.output.startswith(f"b12-cds: conform: {says}")


def test_what_a_service_says_is_printed_in_one_line_without_commands_to_the_terminal():
    item = Item("18", "M", "The id", False)
    reasons = ("a\x1b[2J\nfail  80: no path segment", *(f"b{number}" for number in range(100)))
    printed = list(lines([CheckedItem(item, FAIL, (), reasons)]))
    assert printed[1].strip() == "- a\ufffd[2J fail 80: no path segment"
    assert printed[21].strip() == "- and 81 more, which --json lists"


@pytest.mark.parametrize("text", ["[]", "{", '{"hook": "patient-view"}', '{"hook": 5, "context": {}}'])
def test_a_file_that_is_no_request_is_refused(tmp_path: Path, text: str):
    (tmp_path / "request.json").write_text(text)
    refused = run("http://127.0.0.1:1", "--request", str(tmp_path / "request.json"))
    assert refused.exit_code == 2
    assert f"--request: {tmp_path / 'request.json'} is no" in refused.output


def test_a_key_must_be_private_and_named_and_is_never_shown(tmp_path: Path):
    path = tmp_path / "key.json"
    unnamed, shared = {**key().as_dict(private=True), "kid": ""}, {"kty": "oct", "k": "c2VjcmV0"}
    for told in (key().as_dict(private=False), unnamed, shared):
        path.write_text(json.dumps(told))
        refused = run("http://127.0.0.1:1", "--key", str(path), "--iss", "x")
        assert refused.exit_code == 2
        assert refused.output.startswith("b12-cds: conform: --key: ")
        assert "c2VjcmV0" not in refused.output
