"""The bytes of a call: its body as we read it, and the answer as we send it."""

from __future__ import annotations

import msgspec
from flask import Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, RequestTimeout

from ..cdshooks.messages import SHALLOW, log_name
from ..evaluate import Evaluation
from .errors import JSON, Refused, refused

LARGEST_BODY = 5_000_000
READ_AT_MOST = LARGEST_BODY + 1  # for Flask, which cuts a body of unknown length at its limit without a word
MEDIA_TYPES = ("application/json", "application/fhir+json")
ENCODER = msgspec.json.Encoder(decimal_format="number")
WRONG_PATIENT = "patient: the Patient that was sent or read is not the one of context.patientId"


def read_body() -> bytes:
    """The body of a call, if it is what we read: JSON, not encoded, not too large (also if it does not say so)."""
    if request.mimetype not in MEDIA_TYPES:
        raise Refused(415, f"the body must be {' or '.join(MEDIA_TYPES)}")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused(415, "an encoded body (Content-Encoding) is not read")
    length = request.content_length
    if length is not None and length <= LARGEST_BODY:
        try:
            body = request.environ["wsgi.input"].read(length)  # in one piece: the server need not copy it in parts
        except TimeoutError:
            raise RequestTimeout from None
        if len(body) < length:
            raise ClientDisconnected
        return body
    try:
        body = request.get_data(cache=False)
    except ClientDisconnected as error:
        if isinstance(error.__context__, TimeoutError):
            raise RequestTimeout from None
        raise
    if len(body) > LARGEST_BODY:
        raise RequestEntityTooLarge
    return body


def instance_in(body: bytes) -> dict[str, str]:
    """For the log, the hookInstance of a body that could not be read as a call; nothing if it tells none."""
    try:
        return {"hookInstance": log_name(msgspec.json.decode(SHALLOW.decode(body)["hookInstance"], type=str))}
    except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError):
        return {}


def told(found: Evaluation, access: str = "") -> Response:
    """The answer as bytes: cards, or 412 with what is missing. `access`: why the fhirServer was not called, if so."""
    if found.status == 412:
        return refused(Refused(412, *missing(found), *([f"fhirServer: was not called: {access}"] if access else [])))
    body = ENCODER.encode({"cards": found.cards})
    return Response(body, 200, {"Cache-Control": "no-store"}, content_type=JSON)


def silence() -> Response:
    """The answer of silent mode, whatever was decided: the one exception from never being silent."""
    return Response(b'{"cards":[]}', 200, {"Cache-Control": "no-store"}, content_type=JSON)


def missing(found: Evaluation) -> list[str]:
    """What could not be had, key by key, and why."""
    if found.gathered.wrong_patient:
        return [WRONG_PATIENT]
    states = found.gathered.states
    return [f"{key}: {states[key].reason or 'was not sent'}" for key in found.missing]


def timing(**seconds: float) -> str:
    """A Server-Timing header: where the time went, in milliseconds."""
    return ", ".join(f"{name};dur={value * 1000:.2f}" for name, value in seconds.items())
