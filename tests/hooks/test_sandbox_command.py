"""`b12-cds sandbox` and `b12-cds examples` without a FHIR server: options, links, files, and what a server refuses."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from fhir.resources.R4B.bundle import Bundle
from werkzeug import Request, Response
from werkzeug.serving import make_server

from cds_service.cli import main
from cds_service.commands.sandbox import LOCAL, PUBLIC, Joined, launcher
from cds_service.examples.fixture_patients import DAYS_AGO, patients_folder
from tests.contract.calling import Quiet
from tests.endings import all_ended

PATIENTS = sorted(path.stem for path in patients_folder().glob("*.json"))


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, [*arguments], env={"CDS_FHIR_TOKEN": None, **environment})


@contextmanager
def server(status: int, answer: Any) -> Iterator[tuple[str, list[Request]]]:
    """A FHIR server that answers everything in one way, or as `answer` says of what it was sent: its base, and that."""
    seen: list[Request] = []

    @Request.application
    def app(request: Request) -> Response:
        sent = request.get_data()
        seen.append(request)
        said = answer(json.loads(sent)) if callable(answer) else answer
        return Response(json.dumps(said), status, content_type="application/fhir+json")

    running = make_server("127.0.0.1", 0, app, request_handler=Quiet)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/fhir", seen
    finally:
        running.shutdown()
        running.server_close()
        all_ended([thread])


def test_the_link_has_every_parameter_of_the_sandbox():
    joined = Joined("http://127.0.0.1:8090/fhir", "http://127.0.0.1:8000/cds-services", "neuro-metformin")
    address = urlsplit(joined.link(PUBLIC, "order-select", "rx-view"))
    assert (address.scheme, address.netloc, address.path) == ("https", "sandbox.cds-hooks.org", "/")
    assert parse_qs(address.query) == {
        "fhirServiceUrl": ["http://127.0.0.1:8090/fhir"],
        "patientId": ["neuro-metformin"],
        "serviceDiscoveryURL": ["http://127.0.0.1:8000/cds-services"],
        "hook": ["order-select"],
        "screen": ["rx-view"],
    }
    assert joined.link(LOCAL).startswith("http://localhost:8080/?fhirServiceUrl=http%3A%2F%2F127.0.0.1%3A8090%2Ffhir&")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--fhir", "http://ehr.example.org/fhir"), "--fhir: an address without encryption (http) is called on this"),
        (("--fhir", "ehr"), "--fhir: not a plain http or https address; give a FHIR base URL such as"),
        (("--origin", "https://page.example.org/x"), "--origin: an address with a path"),
        (("--origin", "http://page.example.org"), "--origin: an address without encryption (http)"),
        (("--patient", "nobody"), "--patient: there is no example patient 'nobody'; there are: bariatric, "),
        (("--token-file", "/nowhere"), "/nowhere: cannot be read"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line(options: tuple[str, ...], says: str):
    refused = run("sandbox", *options)
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
    assert refused.output.startswith(f"b12-cds: sandbox: {says}")


def test_outside_of_a_checkout_the_command_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cds_service.commands.sandbox.__file__", str(tmp_path / "a" / "b" / "sandbox.py"))
    refused = run("sandbox")
    assert refused.exit_code == 2
    assert "name a FHIR R4 server for tests with --fhir URL" in refused.output


def test_in_a_checkout_its_own_script_starts_the_server(monkeypatch: pytest.MonkeyPatch):
    root = Path(__file__).resolve().parents[2]
    monkeypatch.chdir(root)
    assert launcher().samefile(root / "deploy" / "hapi" / "run.py")


def test_a_server_that_is_not_there_is_named_before_the_service_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        refused = run("sandbox", "--fhir", f"http://127.0.0.1:{taken.getsockname()[1]}/fhir")
    assert refused.exit_code == 2
    assert "bariatric: the FHIR server cannot be reached: the connection was refused" in refused.output


def test_every_example_is_exported_as_a_transaction_that_a_server_takes(tmp_path: Path):
    done = run("examples", "export", str(tmp_path), "--as-of", "2026-01-15")
    assert done.exit_code == 0
    assert sorted(path.stem for path in tmp_path.iterdir()) == PATIENTS
    for path in tmp_path.iterdir():
        bundle = json.loads(path.read_text())
        assert bundle["type"] == "transaction"
        Bundle.model_validate(bundle)
        assert not DAYS_AGO.search(path.read_text())
        for entry in bundle["entry"]:
            each = entry["resource"]
            assert entry["request"] == {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}
    dietary = json.loads((tmp_path / "dietary.json").read_text())
    record = json.loads((patients_folder() / "dietary.json").read_text())
    assert len(dietary["entry"]) == len(record["entry"])


def test_numbers_keep_their_digits_in_an_export(tmp_path: Path):
    run("examples", "export", str(tmp_path))
    assert "150.10" in (tmp_path / "dietary.json").read_text()


def writing(kind: str = "transaction-response", refused: str = "nothing", status: str = "409 Conflict") -> Any:
    """The answer of a server to a transaction, which refuses one type of resource."""

    def answer(sent: dict[str, Any]) -> dict[str, Any]:
        urls = [each["request"]["url"] for each in sent["entry"]]
        became = [{"response": {"status": status if url.startswith(refused) else "201 Created"}} for url in urls]
        return {"resourceType": "Bundle", "type": kind, "entry": became}

    return answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (writing("batch-response", "Observation"), "refuses Observation/"),
        (writing(refused="Patient", status="412\n\x1b[2J"), "refuses Patient/bariatric with 412 \ufffd[2J\n"),
        (lambda sent: sent, "answers 200 and does not say of each resource that it was written\n"),
        (lambda sent: {**writing()(sent), "entry": []}, "answers 200 and does not say of each resource"),
        ({"resourceType": "Bundle", "type": "transaction-response"}, "answers 200 and does not say of each resource"),
        ("<html>", "answers 200 and does not say of each resource"),
    ],
)
def test_what_a_server_did_not_write_is_not_counted_as_written(answer: Any, says: str):
    with server(200, answer) as (base, seen):
        refused = run("examples", "load", "--fhir", base)
    assert (refused.exit_code, refused.output.count("\n"), len(seen)) == (2, 1, 1)
    assert refused.output.startswith("b12-cds: examples load: bariatric: the FHIR server ")
    assert says in refused.output


def test_the_examples_are_loaded_one_transaction_each_with_the_token():
    with server(200, writing()) as (base, seen):
        done = run("examples", "load", "--fhir", base, CDS_FHIR_TOKEN="let-me-in")
    assert done.exit_code == 0, done.output
    assert [(each.method, each.path) for each in seen] == [("POST", "/fhir")] * len(PATIENTS)
    assert {each.headers["Authorization"] for each in seen} == {"Bearer let-me-in"}
    sent = [json.loads(each.get_data()) for each in seen]
    assert {each["type"] for each in sent} == {"transaction"}
    newest = max(e["resource"].get("effectiveDateTime", "") for each in sent for e in each["entry"])
    assert newest[:10] >= (datetime.now(UTC) - timedelta(days=60)).date().isoformat()  # dated back from today
    assert done.output.splitlines()[-1] == f"{sum(len(each['entry']) for each in sent)} resources of 10 patients"


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (422, {"issue": [{"code": "x", "diagnostics": "no such id"}]}, "422: no such id"),
        (403, {"error": 1}, "403"),
        (500, [], "500"),
        (500, {"issue": ["x"]}, "500"),
        (400, {"issue": [{"diagnostics": "two\nlines\x1b[2J"}]}, "400: two lines\ufffd[2J"),
    ],
)  # fmt: skip
def test_what_a_server_refuses_is_named_with_its_own_words(status: int, answer: Any, says: str):
    with server(status, answer) as (base, _):
        refused = run("examples", "load", "--fhir", base)
    assert refused.exit_code == 2
    assert refused.output == f"b12-cds: examples load: bariatric: the FHIR server refuses it with {says}\n"
