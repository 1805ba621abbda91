"""`b12-cds doctor` on the command line: one report or one document; one sentence where there is no server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.doctor.fhir_server import Limits
from tests.doctor.small_server import Record, coded, patient, result, small_server
from tests.fhir.loopback import Answer, after, body, fhir, never, reset, serving, status

SECRET = "eyJ-very-secret-token"
SETTINGS = ("CDS_DEMO", "CDS_PATHWAY", "CDS_PREFETCH", "CDS_TIME_ZONE", "CDS_FHIR_BASES", "CDS_SITE_DIR")
LIMITED = Limits(answer_seconds=0.4)
NAMES = ("pat-0001", "pat-0002")


def run(*arguments: Any, **environment: str) -> Result:
    """The command, without any setting of this environment."""
    unset = dict.fromkeys((*SETTINGS, "CDS_FHIR_TOKEN"))
    return CliRunner(env={**unset, **environment}).invoke(
        main, ["doctor", *map(str, arguments)], catch_exceptions=False
    )


def record(**faults: Any) -> Record:
    found = [patient(name) for name in NAMES]
    found += [result(f"r-{name}", name, coded("VB12", "urn:example:lab", "Vitamin B12")) for name in NAMES]
    return Record(found, **faults)


def one_line(found: Result) -> str:
    assert found.stdout == ""
    (line,) = found.stderr.splitlines()
    return line


def test_the_report_is_on_standard_output_and_holds_the_lines_unwrapped():
    with small_server(record()) as server:
        found = run("--fhir", server.base, COLUMNS="60")
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert "Into value-sets/lab-b12.csv:" in lines
    assert any(line.startswith("urn:example:lab,VB12,Vitamin B12,mass,seen by b12-cds doctor 2") for line in lines)
    assert not any(name in found.output for name in NAMES)
    assert found.stderr == ""


def test_json_is_one_document():
    with small_server(record()) as server:
        found = run("--fhir", server.base, "--json", "--prefetch", "minimal")
    told = json.loads(found.stdout)
    assert [each["prefetch"] for each in told["calls"]] == ["minimal"]
    assert not any(name in found.output for name in NAMES)


def test_a_site_is_laid_over_and_makes_it_clean(tmp_path):
    values = tmp_path / "value-sets"
    values.mkdir()
    line = "urn:example:lab,VB12,Vitamin B12,mass,site\n"
    (values / "lab-b12.csv").write_text(f"system,code,display,use,source\n{line}")
    with small_server(record()) as server:
        by_option = run("--fhir", server.base, "--site", tmp_path, "--json")
        by_setting = run("--fhir", server.base, "--json", CDS_SITE_DIR=str(tmp_path))
    assert json.loads(by_option.stdout)["clean"] is json.loads(by_setting.stdout)["clean"] is True


@pytest.mark.parametrize("where", ["file", "environment"])
def test_a_token_comes_from_a_file_or_the_environment_and_is_never_printed(where, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    given = (["--token-file", file], {}) if where == "file" else ([], {"CDS_FHIR_TOKEN": SECRET})
    with small_server(record(token=SECRET)) as server:
        found = run("--fhir", server.base, "--json", *given[0], **given[1])
        assert server.requests[-1].headers["Authorization"] == f"Bearer {SECRET}"
    assert found.exit_code == 0
    assert SECRET not in found.output


def test_patients_can_be_named_in_a_file(tmp_path):
    file = tmp_path / "patients"
    file.write_text(f"Patient/{NAMES[1]}\n\n")
    with small_server(record(needs_patient=True)) as server:
        found = run("--fhir", server.base, "--json", "--patients", file)
    assert json.loads(found.stdout)["patients"] == 1
    assert NAMES[1] not in found.output


HTML = body(b"<!doctype html><title>Welcome</title>")
BROKEN: list[tuple[Answer, str]] = [
    (HTML, "what it answers is not FHIR in JSON"),
    (body(b""), "what it answers is not FHIR in JSON"),
    (body(b"\xff\xfe"), "what it answers is not FHIR in JSON"),
    (body(b"[" * 100_000), "what it answers is not FHIR in JSON"),
    (fhir({"resourceType": "Patient"}), "is no CapabilityStatement"),
    (fhir({"hello": "world"}), "is no CapabilityStatement"),
    (fhir([]), "what it answers is not FHIR in JSON"),
    (fhir({"resourceType": "Conformance", "fhirVersion": "1.0.2"}), "DSTU2"),
    (status(500), "the FHIR server failed (HTTP 500)"),
    (status(404), "is this the FHIR base? (HTTP 404)"),
    (status(401), "asks for a token even for /metadata"),
    (status(403), "does not give access (HTTP 403)"),
    (status(302, Location="http://127.0.0.1:9/fhir/metadata"), "which is not followed (HTTP 302)"),
    (reset, "cannot be reached: the connection was reset"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "said"), BROKEN)
def test_a_broken_server_gets_one_sentence_and_exit_1(answer, said):
    with serving({"/fhir/metadata": answer}) as server:
        found = run("--fhir", server.base)
    assert found.exit_code == 1
    assert one_line(found).startswith(f"b12-cds: doctor: {server.base}: ")
    assert said in one_line(found)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1/fhir", "the connection was refused"),
        ("https://no-such-host.invalid/fhir", "its name is not known"),
    ],
)
def test_a_server_that_is_not_there_gets_one_sentence_with_the_reason_and_exit_1(url, why):
    found = run("--fhir", url)
    said = f"b12-cds: doctor: {url}: the FHIR server cannot be reached: {why}"
    assert (found.exit_code, one_line(found)) == (1, said)


@pytest.mark.parametrize("answer", [never, after(3, fhir({}))])
def test_a_server_that_does_not_answer_in_time_gets_one_sentence_and_exit_1(answer, monkeypatch):
    monkeypatch.setattr("cds_service.doctor.command.LIMITS", LIMITED)
    with serving({"/fhir/metadata": answer}) as server:
        found = run("--fhir", server.base)
    assert (found.exit_code, one_line(found)) == (1, f"b12-cds: doctor: {server.base}: no answer in time")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--fhir", "nonsense"],
        ["--fhir", "ftp://example.org/fhir"],
        ["--fhir", "http://example.org/fhir"],
        ["--fhir", "http://10.0.0.1/fhir"],
        ["--fhir", f"https://user:{SECRET}@example.org/fhir"],
        ["--fhir", "https://example.org/fhir?x=1"],
        ["--fhir", "https://example.org/../fhir"],
        ["--fhir", "http://127.0.0.1:1/fhir", "--prefetch", "some"],
        ["--fhir", "http://127.0.0.1:1/fhir", "--site", "/no/such/folder"],
        ["--fhir", "http://127.0.0.1:1/fhir", "--token-file", "/no/such/file"],
        ["--fhir", "http://127.0.0.1:1/fhir", "--token-file", "EMPTY"],
        ["--fhir", "http://127.0.0.1:1/fhir", "--token-file", "TWO WORDS"],
        ["--fhir", "http://127.0.0.1:1/fhir", "--patients", "EMPTY"],
        ["--fhir", "http://127.0.0.1:1/fhir", "--token", SECRET],
    ],
)
def test_bad_arguments_are_exit_2_and_never_quote_a_secret(arguments, tmp_path: Path):
    for name, text in (("EMPTY", " \n"), ("TWO WORDS", f"{SECRET} {SECRET}")):
        (tmp_path / name).write_text(text)
    files = {name: str(tmp_path / name) for name in ("EMPTY", "TWO WORDS")}
    found = run(*[files.get(each, each) for each in arguments])
    assert (found.exit_code, found.stdout) == (2, "")
    assert SECRET not in found.stderr


def test_a_site_with_a_fault_is_exit_2(tmp_path):
    (tmp_path / "value-sets").mkdir()
    (tmp_path / "value-sets" / "lab-b12.csv").write_text("nonsense\n")
    found = run("--fhir", "http://127.0.0.1:1/fhir", "--site", tmp_path)
    assert found.exit_code == 2
