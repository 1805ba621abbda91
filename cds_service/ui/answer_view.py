"""An answer as the pages show it: the cards as a record system lays them out, the call on the wire, what is stored.

Why the answer is what it is stands in `evidence`, and the chart in `charts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from flask import Flask, current_app
from markupsafe import Markup

from cds_service.web.messages import missing, response_to

from .charts import Course, course
from .client import AnsweredCall
from .evidence import Part, Why, injections, parts_of, why
from .examples import Example
from .frame import GRADES, MARKDOWN, written
from .patient import Subject, subject_of
from .tray import OrderDraft

Json = dict[str, Any]
LONGEST_SHOWN = 400_000  # bytes of a request that is shown whole
INDICATORS = {"critical": ("Critical", "‼"), "warning": ("Warning", "!"), "info": ("Information", "i")}


@dataclass(frozen=True)
class AnswerView:
    """What the templates show of a call. `history` is what the store holds of it, where that was looked up."""

    answered: AnsweredCall
    host_url: str
    example: Example | None = None
    history: list[Json] | None = None
    sent: str = ""  # the feedback that was just sent
    tray: tuple[OrderDraft, ...] = ()  # orders that were accepted
    signed: bool = False  # is it the answer to their being signed?

    @property
    def cards(self) -> list[Json]:
        return self.answered.found.cards

    @property
    def status(self) -> int:
        return self.answered.found.status

    @property
    def missing(self) -> list[str]:
        return missing(self.answered.found, self.answered.config.templates)

    @property
    def endpoint(self) -> str:
        """Where a client would have called."""
        return f"{self.host_url}cds-services/{self.answered.service_id}"

    @cached_property
    def subject(self) -> Subject:
        """Of whom the answer speaks."""
        return subject_of(self.answered, self.example)

    def other_links(self, card: Json) -> list[Json]:
        """The links of a card besides the one that its source names already."""
        return [each for each in card.get("links", ()) if each["url"] != card["source"].get("url")]

    def text_of(self, card: Json) -> CardText:
        """The text of a card around its suggestions."""
        return card_text(card)

    def parts_of(self, card: Json) -> list[Part]:
        """The rows that a card shows, each with where it comes from."""
        return parts_of(self.answered.found, self.answered.config, card["uuid"])

    @property
    def request_text(self) -> str:
        """The request, byte by byte: what the next form begins with."""
        return self.answered.call.body.decode()

    @property
    def request_pretty(self) -> str:
        body = self.answered.call.body
        return msgspec.json.format(body, indent=2).decode() if len(body) <= LONGEST_SHOWN else ""

    @property
    def answer_pretty(self) -> str:
        answer = response_to(self.answered.found, self.answered.config.templates)
        return msgspec.json.format(answer.get_data(), indent=2).decode()

    @property
    def discovery_pretty(self) -> str:
        """The entry of the catalogue that belongs to this call."""
        listed = self.answered.config.discovery()["services"]
        entry = next(each for each in listed if each["id"] == self.answered.service_id)
        return msgspec.json.format(msgspec.json.encode(entry), indent=2).decode()

    @property
    def curl(self) -> str:
        return (
            f"curl --silent --request POST {self.endpoint} \\\n"
            "  --header 'Content-Type: application/json' --data-binary @request.json"
        )

    @cached_property
    def why(self) -> Why:
        return why(self.answered.found, self.answered.config)

    @cached_property
    def course(self) -> Course:
        return course(self.answered.found.assessment.case)

    @property
    def injections(self) -> str:
        """Where the course of B12 injections stands, as a sentence; "" without any."""
        words = injections(self.answered.found.assessment)
        return f"{words[0].upper()}{words[1:]}." if words else ""

    def is_accepted(self, card: Json, suggestion: str) -> bool:
        """Was this suggestion accepted in this visit, as far as the store has it?"""
        return any(suggestion in each.get("accepted", ()) for each in self.feedback_on(card))

    @property
    def tray_json(self) -> str:
        """The orders in the tray, for the next form."""
        return msgspec.json.Encoder(decimal_format="number").encode([each.resource for each in self.tray]).decode()

    def because(self, card: Json) -> str:
        """Why a card came, in one sentence; "" where no row stands for it."""
        return next((each.sentence for each in self.why.reasons if each.card == card["uuid"]), "")

    def feedback_on(self, card: Json) -> list[Json]:
        """What the store holds of the answers to a card."""
        cards = (each for decision in self.history or () for each in decision["cards"])
        answers: list[list[Json]] = [each["feedback"] for each in cards if each["card"] == card["uuid"]]
        return answers[-1] if answers else []


SCHEDULE = re.compile(r"- (?:\w+: )?(.+)")  # a line of a card's text that states a regimen, the second as "Or: ..."


@dataclass(frozen=True, slots=True)
class Suggested:
    """A suggestion as it is shown: the card's, with the lines below its label."""

    uuid: str
    label: str
    recommended: bool
    lines: tuple[str, ...]
    first: bool = False  # the text of the card states it, or it is recommended: it stands before the others


@dataclass(frozen=True, slots=True)
class CardText:
    """The text of a card around its suggestions: `act` above them, `rest` below. A regimen that a suggestion states in
    full stands there only."""

    act: str
    suggestions: tuple[Suggested, ...]
    rest: str


def card_text(card: Json) -> CardText:
    """The parts of a card; without suggestions all of its text is `rest`."""
    detail, offered = card.get("detail", ""), card.get("suggestions", ())
    if not offered:
        return CardText("", (), detail)
    descriptions = {text for each in offered for text in described(each)}
    stated, left = dict[str, str](), list[str]()
    for line in detail.split("\n"):
        found = SCHEDULE.fullmatch(line.strip())
        if found and found[1] in descriptions:
            stated[found[1]] = line.strip().removeprefix("- ")
        else:
            left.append(line)
    first, _, rest = re.sub(r"\n{3,}", "\n\n", "\n".join(left)).strip().partition("\n\n")
    if first.endswith(":") and rest.startswith("- "):
        listed, _, rest = rest.partition("\n\n")
        first = f"{first}\n\n{listed}"
    shown = sorted((suggested(each, stated) for each in offered), key=lambda each: not each.first)
    return CardText(first, tuple(shown), rest)


def described(suggestion: Json) -> list[str]:
    """What its actions do, where that says more than its label."""
    texts = (action.get("description", "").strip() for action in suggestion.get("actions", ()))
    return [text for text in texts if text and text != suggestion["label"]]


def suggested(suggestion: Json, stated: Mapping[str, str]) -> Suggested:
    """One suggestion; `stated` are the lines of the card's text by the description that they state."""
    lines, recommended = described(suggestion), bool(suggestion.get("isRecommended"))
    first = recommended or any(text in stated for text in lines)
    said = tuple(stated.get(text, text) for text in lines)
    return Suggested(suggestion["uuid"], suggestion["label"], recommended, said, first)


def indicator(name: str) -> tuple[str, str]:
    """The word and the sign of an indicator: colour alone says nothing."""
    return INDICATORS[name]


def markdown(text: str) -> Markup:
    """A card's detail as HTML: Markdown without HTML of its own."""
    return Markup(MARKDOWN.render(text))  # noqa: S704  markdown-it escapes all but its own tags


def has_content() -> bool:
    """Are the content pages there to link to?"""
    return "content_sheet" in current_app.view_functions


def add_evidence(app: Flask) -> None:
    """What the templates of cards and evidence use, beside the frame of all pages."""
    app.add_template_filter(markdown, "markdown")
    app.add_template_filter(written, "day")
    app.jinja_env.globals.update(indicator=indicator, grades=GRADES, has_content=has_content)
