"""Errors as CDS clients get them: an OperationOutcome that says what to change, and nothing of what is inside."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from flask import Flask, Response
from structlog.typing import FilteringBoundLogger
from werkzeug.exceptions import HTTPException

from ..cdshooks.messages import Fault

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
    415: "not-supported",
    429: "throttled",
    500: "exception",
    503: "transient",
}
KEYWORD_TYPE = {"required": "required", "json": "structure", "depth": "structure", "type": "structure"}
TEXTS = {
    404: "there is no such address here; GET /cds-services lists the services",
    405: "this address does not take that method",
    408: "the body did not come in time",
    413: "the body is larger than is allowed",
    500: "the service failed; the fault is ours and has been logged",
}


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
    """Every error, ours, Flask's or a bug's, becomes an OperationOutcome. `count` is told its status."""

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
    body = {"resourceType": "OperationOutcome", "issue": list(issues)}
    return Response(msgspec.json.encode(body), status, {"Cache-Control": "no-store"}, content_type=JSON)
