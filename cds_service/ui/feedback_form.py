"""The buttons under a card as the feedback that a CDS client sends (checklist items 107 to 116)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from cds_service.web.errors import Refused

Json = dict[str, Any]
NOT_HERE = "the page that was sent has no such card; reload it and try again"


def feedback_body(form: Mapping[str, str], cards: Sequence[Json], now: datetime) -> bytes:
    """The body of POST /cds-services/{id}/feedback for the button that was pressed: "accept" or "override"."""
    if "accept" in form:
        card_id, _, suggestion = form["accept"].partition("|")
        card = named(cards, card_id)
        if suggestion not in [each["uuid"] for each in card.get("suggestions", ())]:
            raise Refused(400, NOT_HERE)
        said: Json = {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestion}]}
    else:
        card_id = form.get("override", "")
        card = named(cards, card_id)
        said = {"outcome": "overridden", **reason(card, form.get(f"reason-{card_id}", ""))}
    given = {"card": card_id, **said, "outcomeTimestamp": now.isoformat(timespec="milliseconds")}
    return msgspec.json.encode({"feedback": [given]})


def named(cards: Sequence[Json], card_id: str) -> Json:
    """The card of that uuid."""
    card = next((each for each in cards if each.get("uuid") == card_id), None)
    if card is None:
        raise Refused(400, NOT_HERE)
    return card


def reason(card: Json, code: str) -> Json:
    """The reason that was chosen of those that the card offers; none is allowed."""
    for each in card.get("overrideReasons", ()):
        if each["code"] == code:
            return {"overrideReason": {"reason": {"code": each["code"], "system": each["system"]}}}
    return {}
