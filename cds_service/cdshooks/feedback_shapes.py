"""Feedback as it is on the wire. Unknown fields are skipped; what is not worth a 400 stays undecoded, comments too."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

MOST_ITEMS, MOST_SUGGESTIONS, MOST_REASONS, LONGEST_ID = 500, 20, 10, 1024
NOTHING = msgspec.Raw(b"null")

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID)]


class Suggestion(msgspec.Struct):
    """A suggestion that was accepted."""

    id: Id


class Coding(msgspec.Struct):
    """The reason that was chosen. Its display is not read."""

    code: msgspec.Raw = NOTHING
    system: msgspec.Raw = NOTHING


class Reason(msgspec.Struct, rename="camel"):
    """Why a card was overridden."""

    reason: Coding | None = None
    user_comment: msgspec.Raw = NOTHING
    extension: msgspec.Raw = NOTHING


class Item(msgspec.Struct, rename="camel"):
    """One entry of the array."""

    card: Id
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: msgspec.Raw = NOTHING
    accepted_suggestions: Annotated[list[Suggestion], msgspec.Meta(max_length=MOST_SUGGESTIONS)] | None = None
    override_reason: Reason | None = None
    override_reasons: Reason | Annotated[list[Reason], msgspec.Meta(max_length=MOST_REASONS)] | None = None
    extension: msgspec.Raw = NOTHING


class Batch(msgspec.Struct):
    """The body."""

    feedback: Annotated[list[Item], msgspec.Meta(max_length=MOST_ITEMS)]


class Pieces(msgspec.Struct):
    """The body with its entries unread."""

    feedback: list[msgspec.Raw]
