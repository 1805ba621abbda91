"""What users did with cards, as CDS clients send it (checklist items 107 to 116): read once into frozen types.

Lenient where real clients differ: Epic sends `overrideReasons`, its own reasons in an `extension`, and ids that are no
UUID; the Sandbox sends no display. What a person may have typed is never stored: a comment is not decoded, a reason
that does not look like a code is "other", an id that is no UUID is hashed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Literal

import msgspec

from .faults import NO_OBJECT, NOT_JSON, PARTS, TOO_DEEP, BadRequest, Fault, faults_of
from .registry import NOTHING, nothing
from .requests import log_name, too_deep

MOST_ITEMS, MOST_SUGGESTIONS, MOST_REASONS, LONGEST_ID = 500, 20, 10, 1024
MOST_FAULTS = 20  # reported for one body
SKEW = timedelta(minutes=5)  # by which a workstation's clock may be fast
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
SYSTEM = re.compile(r"(https?://|urn:)[A-Za-z0-9._~:/%-]{1,190}")
SPLIT_AT_MOST = 3  # pieces of a `system` that has spaces in it: more of them is a sentence
OTHER = "other"  # a reason was given, but not as a code
EPIC = "com.epic.cdshooks.feedback.overrideReason."
EPIC_CATEGORY = EPIC + "reasonCategory"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def described(text: str) -> msgspec.Meta:
    """What the published schema says of a field that may be anything."""
    return msgspec.Meta(description=text)


Id = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=LONGEST_ID,
        description="A UUID of an answer of ours. Any other id is taken too, and kept as a hash.",
    ),
]
Code = Annotated[
    msgspec.Raw,
    described("A code of at most 64 letters, digits and . _ : - ; anything else is kept as 'other'."),
]
System = Annotated[msgspec.Raw, described("An http, https or urn address; anything else is not kept.")]
Comment = Annotated[msgspec.Raw, described("Never read and never kept, only that there was one.")]
Extension = Annotated[
    msgspec.Raw,
    described("An object; com.epic.cdshooks.feedback.overrideReason.reasonCategory counts as a code."),
]
Moment = Annotated[
    msgspec.Raw,
    described("RFC 3339 with a zone. What cannot be read, or lies in the future, counts as not sent."),
]


class AcceptedSuggestion(msgspec.Struct):
    """A suggestion that was accepted."""

    id: Id


class ReasonCoding(msgspec.Struct):
    """The reason that was chosen. Its display is not read."""

    code: Code = msgspec.field(default_factory=nothing)
    system: System = msgspec.field(default_factory=nothing)


class OverrideReason(msgspec.Struct, rename="camel"):
    """Why a card was overridden."""

    reason: ReasonCoding | None = None
    user_comment: Comment = msgspec.field(default_factory=nothing)
    extension: Extension = msgspec.field(default_factory=nothing)


# Some clients send the ids alone.
Suggestions = Annotated[list[AcceptedSuggestion | str], msgspec.Meta(max_length=MOST_SUGGESTIONS)]
Reasons = OverrideReason | Annotated[list[OverrideReason], msgspec.Meta(max_length=MOST_REASONS)]


class FeedbackItem(msgspec.Struct, rename="camel"):
    """One entry of the array."""

    card: Id
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: Moment = msgspec.field(default_factory=nothing)
    accepted_suggestions: Suggestions | None = None
    override_reason: OverrideReason | None = None
    override_reasons: Reasons | None = None
    extension: Extension = msgspec.field(default_factory=nothing)


class FeedbackBody(msgspec.Struct):
    """Feedback on cards, as CDS clients really send it. Fields that are not named here are ignored."""

    feedback: Annotated[list[FeedbackItem], msgspec.Meta(max_length=MOST_ITEMS)]


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


@dataclass(frozen=True, slots=True)
class Batch:
    """The answers of one body that could be read, in its order, and what is wrong with the others."""

    given: tuple[Feedback, ...]
    faults: tuple[Fault, ...] = ()
    refused: int = 0  # entries that could not be read


class Entries(msgspec.Struct):
    """The body with its entries unread."""

    feedback: list[msgspec.Raw]


DECODER = msgspec.json.Decoder(FeedbackBody)
ENTRIES = msgspec.json.Decoder(Entries)
ITEM = msgspec.json.Decoder(FeedbackItem)


def read_feedback(body: bytes, now: datetime) -> Batch:
    """What the body says, in its order; BadRequest if there is no feedback in it. An entry that cannot be read costs
    itself. Later than `now` is not believed."""
    try:
        if too_deep(body):
            raise BadRequest(TOO_DEEP)
        if not body.isascii():
            body.decode()  # what is not decoded here must be text too
        return Batch(tuple(_read(item, now) for item in DECODER.decode(body).feedback))
    except msgspec.ValidationError:
        return _readable(body, now)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(NOT_JSON) from None
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None


def _readable(body: bytes, now: datetime) -> Batch:
    """The entries of a body of which not everything fits; BadRequest where nothing does, or there are too many."""
    faults, given = _faults(body), []
    try:
        entries = ENTRIES.decode(body).feedback
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest(*faults) from None
    for entry in entries[:MOST_ITEMS]:
        try:
            given.append(_read(ITEM.decode(entry), now))
        except (msgspec.DecodeError, RecursionError):
            continue
    if not given or len(entries) > MOST_ITEMS:
        raise BadRequest(*faults)
    return Batch(tuple(given), faults, len(entries) - len(given))


def _read(item: FeedbackItem, now: datetime) -> Feedback:
    at, late = _moment(item.outcome_timestamp, now)
    card, suggestions = _id(item.card), _suggestions(item)
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


def _suggestions(item: FeedbackItem) -> list[str]:
    """The ids of the suggestions that were accepted."""
    named = [each if isinstance(each, str) else each.id for each in item.accepted_suggestions or ()]
    return [_id(each) for each in named if each]


def _id(sent: str) -> str:
    """An id as it is stored: one of ours is a UUID; anything else may be anything, so it is hashed."""
    return log_name(sent.strip().removeprefix("urn:uuid:").lower())


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


def _reasons(item: FeedbackItem) -> list[OverrideReason]:
    """Every reason that was given. Epic's documentation has them in the plural, as one object."""
    plural = item.override_reasons
    several = plural if isinstance(plural, list) else [plural]
    found = [each for each in (item.override_reason, *several) if each is not None]
    return found if item.extension == NOTHING else [*found, OverrideReason(extension=item.extension)]


def _code(reason: OverrideReason) -> tuple[str, str]:
    """The code of a reason and its system; OTHER for what is not coded, "" for nothing."""
    if reason.reason is not None and (reason.reason.code != NOTHING or reason.reason.system != NOTHING):
        code = _text(reason.reason.code).strip()
        return (code, _system(_text(reason.reason.system))) if CODE.fullmatch(code) else (OTHER, "")
    own = {name: _text(raw).strip() for name, raw in _fields(reason.extension).items() if name.startswith(EPIC)}
    for name in (EPIC_CATEGORY, *sorted(own)):
        if CODE.fullmatch(own.get(name, "")):
            return own[name], name
    return (OTHER, "") if own else ("", "")


def _system(sent: str) -> str:
    """A code system's address, without the spaces that Epic's documentation has in one; "" if it is none."""
    pieces = sent.split()
    joined = "".join(pieces)
    return joined if len(pieces) <= SPLIT_AT_MOST and SYSTEM.fullmatch(joined) else ""


def _text(raw: msgspec.Raw) -> str:
    """A text or a number as text; "" for anything else."""
    try:
        found = msgspec.json.decode(raw, type=str | int)
    except msgspec.DecodeError:
        return ""
    return str(found)


def _fields(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return PARTS.decode(raw)
    except msgspec.DecodeError:
        return {}


def _faults(body: bytes) -> tuple[Fault, ...]:
    """The first faults of a body that is JSON but no feedback."""
    try:
        found = tuple(dict.fromkeys(islice(faults_of(FeedbackBody, body), MOST_FAULTS)))
    except msgspec.DecodeError:
        return (NOT_JSON,)
    except RecursionError:
        return (TOO_DEEP,)
    return found or (NO_OBJECT,)
