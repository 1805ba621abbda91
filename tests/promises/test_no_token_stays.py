"""Item 66: no token stays in anything that the service writes. A real process, real failures, and then a search.

The tokens are marked; so are a comment in feedback and a secret that a FHIR server sends back. Everything that the
process wrote is looked through: its output, its answers, its metrics, every file, and what the commands say afterwards.
"""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fhir import loopback
from tests.hooks.calling import PATH, Answers, Caller, body
from tests.hooks.living import PATIENT, fhir_server, prefetch
from tests.hooks.processes import SOON, call, free_port, run, running, until
from tests.hooks.test_clients_serve import is_up, token
from tests.hooks.tokens import CLIENT, PUBLIC, write

MARK = "mArKeD-tOkEn-7Zx"  # in every token and secret
COMMENT = f"comment-{MARK}"
FEEDBACK = f"{PATH}/feedback"


def echo(code: int) -> loopback.Answer:
    """A FHIR server that tells the token back, in its headers and in its words."""

    def answer(handler: loopback.Handler) -> None:
        told = handler.headers["Authorization"] or ""
        issue = {"severity": "error", "code": "login", "diagnostics": told, "details": {"text": told}}
        outcome = {"resourceType": "OperationOutcome", "issue": [issue], "text": {"div": told}}
        back = {"Location": f"/fhir?token={MARK}", "WWW_Authenticate": told}
        loopback.body(json.dumps(outcome).encode(), code, **back)(handler)

    return answer


FAILING = {
    "unauthorized": echo(401), "server-error": echo(500), "too-many": echo(429), "redirect": echo(302),
    "outcome": echo(200), "reset": loopback.reset, "half": loopback.half(MARK.encode() * 50),
    "html": loopback.body(f"<html>{MARK}</html>".encode()), "no-gzip": loopback.body(b"x", Content_Encoding="gzip"),
    "hangs": loopback.never,
}  # fmt: skip


def granted(**changed: object) -> dict:
    access = {"access_token": MARK, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read"}
    return {**access, "subject": "b12", **changed}


ODD_ACCESS = [
    granted(token_type=MARK), granted(access_token=[MARK]), granted(access_token=MARK + "\n"), granted(scope=[MARK]),
    granted(expires_in=MARK), granted(expires_in=0), granted(patient=f"Patient/{MARK}"), MARK, [MARK], {MARK: MARK},
]  # fmt: skip


def bodies(server: loopback.Server) -> Iterator[bytes]:
    """Calls with a marked token: good ones, and with every kind of fault beside it."""
    sent = body(prefetch=..., fhirServer=server.base, fhirAuthorization=granted())
    yield json.dumps(sent).encode()
    for access in ODD_ACCESS:
        yield json.dumps({**sent, "fhirAuthorization": access}).encode()
    for base in (f"https://{MARK}@ehr.example.org/fhir", f"{server.base}?token={MARK}", f"https://{MARK}.example.org"):
        yield json.dumps({**sent, "fhirServer": base}).encode()
    for broken in ({"hook": MARK}, {"hook": 1}, {"context": MARK}, {"hookInstance": [MARK]}, {"prefetch": MARK}):
        yield json.dumps({**sent, **broken}).encode()
    yield json.dumps(sent).encode()[:-20]
    yield b"[" * 5000 + MARK.encode()


def headers(server: loopback.Server) -> Iterator[dict[str, str]]:
    """What else than a good token a caller sends, the mark in it."""
    good = token()["Authorization"]
    yield from ({"Authorization": text} for text in (f"Bearer {MARK}", f"Basic {MARK}", MARK, good + MARK))
    yield from (token(jti=MARK * 20), token(aud=f"{PUBLIC}/{MARK}"), token(iss="https://x.example"), token(exp=1))
    yield {"Authorization": good, "Cookie": MARK, "X-Forwarded-For": MARK, "Host": MARK.lower()}


def feedback() -> Iterator[bytes]:
    reason = {"reason": {"code": "patient-refuses", "system": "https://x"}, "userComment": COMMENT}
    item = {"card": "7f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6a10", "outcome": "overridden", "overrideReason": reason}
    yield json.dumps({"feedback": [item | {"outcomeTimestamp": "2026-01-15T12:00:00Z"}]}).encode()
    yield json.dumps({"feedback": [item], "token": MARK}).encode()
    yield json.dumps({"feedback": COMMENT}).encode()


def service(folder: Path, server: loopback.Server) -> dict[str, str]:
    """The settings of a service that writes all that it can write, into this folder."""
    (folder / "store.keys").write_text(f"one {base64.urlsafe_b64encode(os.urandom(32)).decode()}\n")
    (folder / "tmp").mkdir()
    client = {**CLIENT, "fhir": [{"base": server.base, "private": True}], "rate": 60_000}
    path = write(folder, main={**client, "seconds": {"patient-view": 0.5}})
    return {
        "CDS_CLIENTS": str(path),
        "CDS_STORE_URL": f"sqlite:///{folder / 'kept.sqlite'}",
        "CDS_STORE_KEYS": str(folder / "store.keys"),
        "CDS_METRICS_PORT": str(free_port()),
        "TMPDIR": str(folder / "tmp"),
    }


def called(port: int, server: loopback.Server) -> Iterator[tuple[int, bytes]]:
    """The status of every call, and all that its answer says."""
    well = dict(server.answers)

    def ask(path: str, sent: bytes, method: str = "POST", **sent_with: str) -> tuple[int, bytes]:
        status, told, answered = call(port, method, path, sent, **sent_with)
        return status, f"{told}".encode() + answered

    for sent in bodies(server):
        yield ask(PATH, sent, **token())
    for answer in FAILING.values():
        server.answers = dict.fromkeys(well, answer)
        yield ask(PATH, next(bodies(server)), **token())
    server.answers = well
    for each in headers(server):
        yield ask(PATH, json.dumps(body(prefetch=prefetch())).encode(), **each)
    for sent in feedback():
        yield ask(FEEDBACK, sent, **token(aud=PUBLIC + FEEDBACK))
    yield ask(f"{PATH}?access_token={MARK}", b"{}", "PUT", **token())
    yield ask(f"/{MARK}", b"{}", **token())


def everything_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that was written, but those that the test wrote itself."""
    own = {"clients.toml", "keys.json", "store.keys"}
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in own:
            yield str(path.relative_to(folder)), path.read_bytes()


def test_item_66_no_token_stays_in_anything_that_the_service_writes(tmp_path: Path):
    port, folder = free_port(), tmp_path
    patient = loopback.fhir({**PATIENT, "text": {"status": "generated", "div": MARK}})
    with loopback.serving(fhir_server(**{"Patient/pt-1": patient})) as server:
        settings = service(folder, server)
        with running("serve", "--port", str(port), **settings) as process:
            until(is_up(port), process)
            answers = list(called(port, server))
            statuses = {status for status, _ in answers}
            metrics = call(int(settings["CDS_METRICS_PORT"]), "GET", "/metrics")
            running_files = dict(everything_in(folder))
            process.send_signal(signal.SIGTERM)
            assert process.wait(SOON) == 0
            written = process.told().encode()
    used = {each.headers.get("Authorization") for each in server.requests}
    commands = [run("store", "status", **settings), run("feedback", "report", **settings)]
    commands.append(run("store", "show", "7f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6a10", **settings))
    told = {f"file {name}": held for name, held in {**running_files, **dict(everything_in(folder))}.items()}
    told |= {"output": written, "metrics": metrics[2], "answers": b"".join(answer for _, answer in answers)}
    told |= {f"command {place}": (each.stdout + each.stderr).encode() for place, each in enumerate(commands)}

    assert f"Bearer {MARK}" in used, "the token was really used"
    assert {200, 400, 401, 404, 405, 412} <= statuses
    assert metrics[0] == 200
    assert any(name.startswith("file kept.sqlite") and held for name, held in told.items())
    assert b"b12-patient-view" in told["command 2"], commands[2].stderr
    spellings = [MARK, MARK.lower(), base64.b64encode(MARK.encode()).decode()[:18]]
    found = [place for place, held in told.items() for each in spellings if each.encode() in held]
    lines = [line for line in written.decode().splitlines() if MARK.lower() in line.lower()]
    assert lines == []
    assert found == []


@pytest.mark.parametrize("bug", [RuntimeError(MARK), KeyError(MARK), ExceptionGroup(MARK, [ValueError(MARK)])])
def test_item_66_a_bug_that_has_the_token_in_its_hands_does_not_tell_it(bug):
    caller = Caller(Answers(bug=bug))
    response = caller.post(body(fhirServer="http://127.0.0.1:9/fhir", fhirAuthorization=granted()))
    assert response.status_code == 500
    assert MARK not in response.text + caller.log.getvalue()
