"""The bytes of a call: its body as we read it, the answer as we send it, and errors as CDS clients get them.

An error is an OperationOutcome that says what to change, and nothing of what is inside.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from flask import Flask, Response, request
from structlog.typing import FilteringBoundLogger
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge, RequestTimeout
from werkzeug.http import HTTP_STATUS_CODES

from ..bounds import HeldMemory, TooCostly, TooMuchHeld, memory_of
from ..cdshooks.faults import PARTS, Fault
from ..cdshooks.requests import log_name
from ..evaluate import Evaluation
from ..fhir.key_states import ABSENT

JSON = "application/json"
ISSUE_TYPE = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    408: "timeout",
    412: "incomplete",
    413: "too-long",
    414: "too-long",
    415: "not-supported",
    417: "not-supported",
    429: "throttled",
    431: "too-long",
    500: "exception",
    501: "not-supported",
    503: "transient",
}
KEYWORD_TYPE = {"required": "required", "json": "structure", "depth": "structure", "type": "structure"}
TEXTS = {
    404: "there is no such address here; GET /cds-services lists the services",
    405: "this address does not take that method",
    408: "the body did not come in time",
    413: "the body is larger than is allowed",
    414: "the address is longer than is allowed",
    417: "what the request expects is not offered here",
    431: "the header fields are more, or larger, than is allowed",
    500: "the service failed; the fault is ours and has been logged",
    501: "that transfer coding is not read",
}
NO_HTTP = "the request is not HTTP as it is read here"


class Refused(Exception):
    """A request that is answered with an error, and why, in our own words."""

    def __init__(
        self, status: int, *texts: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ):
        self.status, self.texts, self.faults, self.headers = status, texts, faults, headers or {}
        super().__init__(status)


def refused(error: Refused) -> Response:
    """The answer to a request that is refused."""
    issues = [_issue(ISSUE_TYPE[error.status], text) for text in error.texts]
    issues += [_issue(KEYWORD_TYPE.get(fault.keyword, "value"), fault.text, fault.path) for fault in error.faults]
    answer = _outcome(error.status, issues)
    answer.headers.update(error.headers)
    return answer


def uncounted(_status: int) -> None:
    """Nobody counts."""


def add_error_handlers(app: Flask, log: FilteringBoundLogger, count: Callable[[int], None] = uncounted) -> None:
    """Every error, ours, Flask's or a bug's, becomes an OperationOutcome. `count` gets its status."""

    def on_refused(error: Refused) -> Response:
        why = [*error.texts, *(f"{fault.path}: {fault.keyword}" for fault in error.faults)]
        log.warning("refused", status=error.status, why=why)
        count(error.status)
        return refused(error)

    def on_http(error: HTTPException) -> Response:
        status = error.code or 500
        log.warning("refused", status=status, why=[error.name])
        count(status)
        answer = _outcome(status, [_issue(ISSUE_TYPE.get(status, "invalid"), TEXTS.get(status, error.name))])
        if status == 405:
            answer.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return answer

    def on_bug(error: Exception) -> Response:
        log.error("bug", kind=type(error).__name__, at=places(error))
        count(500)
        return _outcome(500, [_issue("exception", TEXTS[500])])

    app.register_error_handler(Refused, on_refused)
    app.register_error_handler(HTTPException, on_http)
    app.register_error_handler(Exception, on_bug)


def places(error: BaseException) -> list[str]:
    """Where a bug is: the lines of code, without the message, which may quote the patient."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-6:]]


def _issue(kind: str, text: str, path: str = "") -> dict[str, Any]:
    issue: dict[str, Any] = {"severity": "error", "code": kind, "details": {"text": text}}
    if path:
        issue["expression"] = [path]
    return issue


def _outcome(status: int, issues: Iterable[dict[str, Any]]) -> Response:
    return Response(_body(issues), status, {"Cache-Control": "no-store"}, content_type=JSON)


def _body(issues: Iterable[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": list(issues)})


def answer_without_the_application(status: int) -> bytes:
    """The whole answer, head and body, to a request that is refused before there is a request: its own bytes are not
    HTTP, or more than is taken."""
    body = _body([_issue(ISSUE_TYPE[status], TEXTS.get(status, NO_HTTP))])
    head = (
        f"HTTP/1.1 {status} {HTTP_STATUS_CODES[status]}",
        f"Content-Type: {JSON}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body


# Bodies

STEP = 1_000_000  # bytes of a body that are read at once
TOO_COSTLY = "the body holds more objects than one call may"
TOO_MUCH_HELD = "the service is busy with large calls; come again soon"
MEDIA_TYPES = ("application/json", "application/fhir+json")
ENCODER = msgspec.json.Encoder(decimal_format="number")
WRONG_PATIENT = "patient: the Patient that was sent or read is not the one of context.patientId"


def read_body(held: HeldMemory) -> bytes:
    """The body of a call, if it is what we read: JSON, not encoded, not too large (also if it does not say so), and
    cheap enough to decode. What it costs is held until the call is answered."""
    if request.mimetype not in MEDIA_TYPES:
        raise Refused(415, f"the body must be {' or '.join(MEDIA_TYPES)}")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused(415, "an encoded body (Content-Encoding) is not read")
    length, largest = request.content_length, held.limit.largest_body
    if length is not None and length > largest:
        raise RequestEntityTooLarge
    with refusing():
        body = received_body(length, held)
        held.hold(max(memory_of(body) - held.amount, 0))
    return body


@contextmanager
def refusing() -> Iterator[None]:
    """Answer 413 to what no call may cost, and 503 to what cannot be held just now."""
    try:
        yield
    except TooCostly:
        raise Refused(413, TOO_COSTLY) from None
    except TooMuchHeld:
        raise Refused(503, TOO_MUCH_HELD, headers={"Retry-After": "1"}) from None


def received_body(length: int | None, held: HeldMemory) -> bytes:
    """The bytes of the body. Whatever the server cannot read of it (sizes of chunks, line ends, trailers) is the
    client's fault: 400, and the connection ends, for nobody knows where the next request begins."""
    try:
        return sent_body(length, held)
    except ClientDisconnected as error:
        if isinstance(error.__context__, TimeoutError):
            raise RequestTimeout from None
        raise
    except TimeoutError:
        raise RequestTimeout from None
    except (HTTPException, MemoryError, TooCostly, TooMuchHeld):
        raise
    except Exception as error:  # noqa: BLE001  # each server has exceptions of its own for this
        text = f"the body cannot be read as HTTP: {type(error).__name__}"
        raise Refused(400, text, headers={"Connection": "close"}) from None


def sent_body(length: int | None, held: HeldMemory) -> bytes:
    """The bytes of the body as they arrive, not more than may be: who sends slowly holds only what was sent."""
    stream = request.stream if length is None else request.environ["wsgi.input"]
    left = held.limit.largest_body + 1 if length is None else length
    pieces = []
    while left > 0 and (piece := stream.read(min(left, STEP))):
        held.hold(len(piece))
        pieces.append(piece)
        left -= len(piece)
    if length is None and left == 0:
        raise RequestEntityTooLarge
    if length is not None and left:
        raise ClientDisconnected
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def instance_in(body: bytes) -> dict[str, str]:
    """For the log, the hookInstance of a body that could not be read as a call; nothing if it tells none."""
    try:
        return {"hookInstance": log_name(msgspec.json.decode(PARTS.decode(body)["hookInstance"], type=str))}
    except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError):
        return {}


def response_to(found: Evaluation, templates: Mapping[str, str], access: str = "") -> Response:
    """The answer as bytes: cards, or 412 with what is missing and, by the prefetch `templates`, what to send. `access`:
    why the fhirServer was not called, if so."""
    if found.status == 412:
        not_called = [f"fhirServer: was not called: {access}"] if access else []
        return refused(Refused(412, *missing(found, templates), *not_called))
    body = ENCODER.encode({"cards": found.cards})
    return Response(body, 200, {"Cache-Control": "no-store"}, content_type=JSON)


def silence() -> Response:
    """The answer of silent mode, whatever was decided: the one exception from never being silent."""
    return Response(b'{"cards":[]}', 200, {"Cache-Control": "no-store"}, content_type=JSON)


def missing(found: Evaluation, templates: Mapping[str, str]) -> list[str]:
    """What could not be had, key by key, and why; of what was not sent, what to send."""
    if found.gathered.wrong_patient:
        return [WRONG_PATIENT]
    states = found.gathered.states
    return [
        f"{key}: {not_sent(key, templates.get(key, '')) if states[key].state == ABSENT else states[key].reason}"
        for key in found.missing
    ]


def not_sent(key: str, template: str) -> str:
    """What a client sends so that this key can be read: the template as it stands in discovery, never filled in."""
    if not template:
        return f"was not sent; send it under prefetch.{key}"
    return (
        f"was not sent; send what the FHIR server answers to {template} under prefetch.{key}, or a fhirServer with "
        "fhirAuthorization that this service may read"
    )


def timing(**seconds: float) -> str:
    """A Server-Timing header: where the time went, in milliseconds."""
    return ", ".join(f"{name};dur={value * 1000:.2f}" for name, value in seconds.items())
