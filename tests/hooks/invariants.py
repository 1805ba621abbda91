"""What JSON Schema cannot say about an answer: the invariants of the logical models and our own promises.

Used by tests and by whoever wants to check an answer; never on the way of a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cds_service.cdshooks.cards import LONGEST_SUMMARY, utf16_units
from cds_service.conform.messages import HTML_OR_IMAGE, MAY_BE_EMPTY, is_empty, parts

Json = dict[str, Any]
SEVERITY_FIRST = {"critical": 0, "warning": 1, "info": 2}
TRANSACTION = ("delete", "create", "update")


def faults(answer: Json, patient_id: str = "", max_cards: int = 3) -> list[str]:
    """Everything about a card answer that is not as it must be, each with the item or invariant it breaks."""
    cards = answer.get("cards", [])
    found = [*empties(answer), *_duplicates(cards)]
    if len(cards) > max_cards:
        found.append(f"{len(cards)} cards")
    for place, card in enumerate(cards):
        found += [f"cards[{place}]: {fault}" for fault in (*_card_faults(card), *_draft_faults(card, patient_id))]
    return found


def empties(value: Any) -> Iterator[str]:
    """Items 3 and 4: nothing is null or empty, but a list of cards or services."""
    for path, part in parts(value):
        if part is None:
            yield f"$.{path} is null (item 3)"
        elif is_empty(part) and path not in MAY_BE_EMPTY:
            yield f"$.{path} is empty (item 4)"


def _duplicates(cards: list[Json]) -> Iterator[str]:
    """Ids are needed for feedback, so each stands for one thing; an equal draft is offered once."""
    suggestions = [each for card in cards for each in card.get("suggestions", [])]
    ids = [each["uuid"] for each in (*cards, *suggestions) if "uuid" in each]
    drafts = [
        action["resource"].get("id") for each in suggestions for action in each["actions"] if "resource" in action
    ]
    for name, values in (("uuid", ids), ("draft", drafts)):
        if len(set(values)) < len(values):
            yield f"a {name} occurs twice"
    ranks = [SEVERITY_FIRST.get(card["indicator"], 0) for card in cards]
    if ranks != sorted(ranks):
        yield "the most severe card does not come first"


def _card_faults(card: Json) -> Iterator[str]:
    if utf16_units(card["summary"]) > LONGEST_SUMMARY:
        yield "summary of 140 or more (item 80)"
    if HTML_OR_IMAGE.search(card.get("detail", "")):
        yield "detail with HTML or an image (item 81)"
    if card["indicator"] not in ("info", "warning", "critical"):
        yield "unknown indicator (cds-resp-7)"
    if ("suggestions" in card) != ("selectionBehavior" in card):
        yield "suggestions and selectionBehavior go together (cds-resp-6, item 88)"
    recommended = [each for each in card.get("suggestions", []) if each.get("isRecommended")]
    if card.get("selectionBehavior") == "at-most-one" and len(recommended) > 1:
        yield "at most one suggestion may be recommended (cds-resp-1)"
    if any(not reason.get("display") for reason in card.get("overrideReasons", [])):
        yield "an override reason without display (cds-resp-4)"
    if any("appContext" in link and link.get("type") != "smart" for link in card.get("links", [])):
        yield "appContext is for smart links only (cds-resp-3)"


def _draft_faults(card: Json, patient_id: str) -> Iterator[str]:
    for suggestion in card.get("suggestions", []):
        for action in suggestion["actions"]:
            if not action.get("description"):
                yield "an action without description (cds-resp-5)"
            if action["type"] == "delete" and ("resource" in action or "resourceId" not in action):
                yield "a delete action names its resource by resourceId (cds-resp-2)"
            subject = action.get("resource", {}).get("subject", {}).get("reference", "")
            own = action["type"] == "update" and subject.endswith(f"/Patient/{patient_id}")  # as the client wrote it
            if patient_id and "resource" in action and subject != f"Patient/{patient_id}" and not own:
                yield "a draft for another patient (item 102)"
        kinds = [action["type"] for action in suggestion["actions"]]
        if kinds != sorted(kinds, key=TRANSACTION.index):
            yield "actions are not in the order of a transaction (item 95)"
