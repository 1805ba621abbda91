"""What users did with cards, as CDS clients tell it (checklist items 107 to 116): read once into frozen types.

Lenient where real clients differ: Epic sends `overrideReasons`, its own reasons in an `extension`, and ids that are no
UUID; the Sandbox sends no display. What a person may have typed is never kept: a comment is not even decoded, a reason
that does not look like a code is "other", an id that is no UUID is hashed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import msgspec
from jsonschema import Draft202012Validator

from .depth import too_deep
from .feedback_shapes import MOST_ITEMS, MOST_SUGGESTIONS, NOTHING, Batch, Item, Pieces, Reason
from .messages import NOT_JSON, TOO_DEEP, BadRequest, Fault, log_name
from .schemas import load_schema

MOST_FAULTS = 20  # told of one body
SKEW = timedelta(minutes=5)  # by which a workstation's clock may be fast
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
SYSTEM = re.compile(r"(https?://|urn:)[A-Za-z0-9._~:/%-]{1,190}")
SPLIT_AT_MOST = 3  # pieces of a `system` that has spaces in it: more of them is a sentence
OTHER = "other"  # a reason was given, but not as a code
EPIC = "com.epic.cdshooks.feedback.overrideReason."
EPIC_CATEGORY = EPIC + "reasonCategory"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Feedback:
    """One answer of a user to a card; the fields of store.records.FeedbackRecord, and what was odd, for the log."""

    card: str
    outcome: str  # accepted | overridden
    at: int | None  # outcomeTimestamp, ms since 1970 UTC; None if it cannot be believed
    accepted: tuple[str, ...]  # suggestion ids
    reason: str  # a code; "" for none
    reason_system: str
    commented: bool
    odd: tuple[str, ...] = ()


DECODER, PIECES, ITEM = (msgspec.json.Decoder(kind) for kind in (Batch, Pieces, Item))
READABLE = {"card": "any", "outcome": "accepted"}
SCHEMA = Draft202012Validator(load_schema("feedback"))


def read_feedback(body: bytes, now: datetime) -> tuple[Feedback, ...]:
    """What the body says, in its order; BadRequest if it is no feedback. Later than `now` is not believed."""
    try:
        if too_deep(body):
            raise BadRequest(TOO_DEEP)
        if not body.isascii():
            body.decode()  # what is not decoded here must be text too
        return tuple(_read(item, now) for item in DECODER.decode(body).feedback)
    except msgspec.ValidationError:
        raise BadRequest(*_faults(body)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(NOT_JSON) from None
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None


def _read(item: Item, now: datetime) -> Feedback:
    at, late = _moment(item.outcome_timestamp, now)
    card, suggestions = _id(item.card), [_id(each.id) for each in item.accepted_suggestions or ()]
    accepted = item.outcome == "accepted"
    reasons = _reasons(item)
    code, system = next((found for found in map(_code, reasons) if found[0]), ("", ""))
    odd = {
        late: bool(late),
        "card-no-uuid": card.startswith("sha256:"),
        "suggestion-no-uuid": any(each.startswith("sha256:") for each in suggestions),
        "accepted-without-suggestions": accepted and not suggestions,
        "overridden-with-suggestions": not accepted and bool(suggestions),
        "reason-no-code": code == OTHER,
    }
    return Feedback(
        card=card,
        outcome=item.outcome,
        at=at,
        accepted=tuple(dict.fromkeys(suggestions)) if accepted else (),
        reason=code,
        reason_system=system,
        commented=any(each.user_comment not in (NOTHING, b'""') for each in reasons),
        odd=tuple(name for name, found in odd.items() if found),
    )


def _id(told: str) -> str:
    """An id as it is kept: one of ours is a UUID; anything else may be anything, so it is hashed."""
    return log_name(told.strip().removeprefix("urn:uuid:").lower())


def _moment(raw: msgspec.Raw, now: datetime) -> tuple[int | None, str]:
    """When it happened in ms since 1970, or None and why that is not known. A time without a zone is no moment."""
    if raw == NOTHING:
        return None, "time-missing"
    try:
        at = msgspec.json.decode(raw, type=Annotated[datetime, msgspec.Meta(tz=True)])
    except msgspec.DecodeError:
        return None, "time-unreadable"
    if at > now + SKEW:
        return None, "time-in-the-future"
    return ((at - EPOCH) // MILLISECOND, "") if at >= EPOCH else (None, "time-unreadable")


def _reasons(item: Item) -> list[Reason]:
    """Every reason that was given. Epic's documentation has them in the plural, as one object."""
    plural = item.override_reasons
    several = plural if isinstance(plural, list) else [plural]
    found = [each for each in (item.override_reason, *several) if each is not None]
    return found if item.extension == NOTHING else [*found, Reason(extension=item.extension)]


def _code(reason: Reason) -> tuple[str, str]:
    """The code of a reason and its system; OTHER for what is not told as a code, "" for nothing."""
    if reason.reason is not None and (reason.reason.code != NOTHING or reason.reason.system != NOTHING):
        code = _text(reason.reason.code).strip()
        return (code, _system(_text(reason.reason.system))) if CODE.fullmatch(code) else (OTHER, "")
    own = {name: _text(raw).strip() for name, raw in _fields(reason.extension).items() if name.startswith(EPIC)}
    for name in (EPIC_CATEGORY, *sorted(own)):
        if CODE.fullmatch(own.get(name, "")):
            return own[name], name
    return (OTHER, "") if own else ("", "")


def _system(told: str) -> str:
    """A code system's address, without the spaces that Epic's documentation has in one; "" if it is none."""
    pieces = told.split()
    joined = "".join(pieces)
    return joined if len(pieces) <= SPLIT_AT_MOST and SYSTEM.fullmatch(joined) else ""


def _text(raw: msgspec.Raw) -> str:
    """A text or a number as text; "" for anything else."""
    try:
        told = msgspec.json.decode(raw, type=str | int)
    except msgspec.DecodeError:
        return ""
    return str(told)


def _fields(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return {}


def _faults(body: bytes) -> Iterator[Fault]:
    """What the schema says of a body that is JSON but no feedback."""
    try:
        errors = islice(SCHEMA.iter_errors(_outline(body)), MOST_FAULTS)
        found = dict.fromkeys(fault for error in errors for fault in _told(error))
    except (msgspec.DecodeError, ValueError):
        return iter((NOT_JSON,))
    except RecursionError:
        return iter((TOO_DEEP,))
    return iter(found or (Fault("", "type", "the body is not feedback"),))


def _outline(body: bytes) -> Any:
    """What the schema needs to see: entries that can be read, and the ends of long lists, would only take its time."""
    try:
        pieces = PIECES.decode(body).feedback[: MOST_ITEMS + 1]
    except msgspec.ValidationError:
        return _cut(json.loads(body))
    return {"feedback": [READABLE if _reads(piece) else _cut(json.loads(bytes(piece))) for piece in pieces]}


def _reads(piece: msgspec.Raw) -> bool:
    try:
        ITEM.decode(piece)
    except msgspec.DecodeError:
        return False
    return True


def _cut(told: Any) -> Any:
    """The same with lists no longer than shows that they are too long."""
    if isinstance(told, dict):
        return {name: _cut(each) for name, each in told.items()}
    return [_cut(each) for each in told[: MOST_SUGGESTIONS + 1]] if isinstance(told, list) else told


def _told(error: Any) -> list[Fault]:
    """An error of the schema without what it quotes: path and keyword, and our own words."""
    path = ".".join(str(step) for step in error.absolute_path)
    limit = error.validator_value
    if error.validator == "required":
        missing = [f"{path}.{name}" if path else name for name in limit if name not in error.instance]
        return [Fault(name, "required", f"{name}: is missing") for name in missing]
    kinds = " or ".join(limit) if isinstance(limit, list) else limit
    words = {
        "type": f"is not of type {kinds}",
        "enum": f"is not {kinds}",
        "minLength": "is empty",
        "maxLength": f"is longer than {limit} characters",
        "maxItems": f"has more than {limit} entries",
    }
    return [Fault(path, error.validator, f"{path or 'the body'}: {words[error.validator]}")]
