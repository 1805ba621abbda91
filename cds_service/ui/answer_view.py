"""A call and its answer as a page shows them: the cards, the reasons, the charts, and the texts to copy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from markupsafe import Markup

from cds_service.cdshooks.catalogue import LISTINGS, discovery
from cds_service.evaluate import REQUIRED
from cds_service.web.bodies import missing, told

from .desk import Called
from .examples import Example
from .subject import Subject, subject_of
from .timeline import Timeline, timeline
from .why import Why, why
from .why_said import Rest, rests_on
from .wording import MARKDOWN

Json = dict[str, Any]
LONGEST_SHOWN = 400_000  # bytes of a request that is shown whole
INDICATORS = {"critical": ("Critical", "‼"), "warning": ("Warning", "!"), "info": ("Information", "i")}


@dataclass(frozen=True)
class AnswerView:
    """What the templates ask of a call. `history` is what the store holds of it, where that was looked up."""

    called: Called
    host_url: str
    example: Example | None = None
    history: list[Json] | None = None
    sent: str = ""  # the feedback that was just sent

    @property
    def cards(self) -> list[Json]:
        return self.called.found.cards

    @property
    def status(self) -> int:
        return self.called.found.status

    @property
    def missing(self) -> list[str]:
        return missing(self.called.found)

    @property
    def endpoint(self) -> str:
        """Where a client would have called."""
        return f"{self.host_url}cds-services/{self.called.service.options.service}"

    @cached_property
    def subject(self) -> Subject:
        """Of whom the answer speaks."""
        return subject_of(self.called, self.example)

    def other_links(self, card: Json) -> list[Json]:
        """The links of a card besides the one that its source names already."""
        return [each for each in card.get("links", ()) if each["url"] != card["source"].get("url")]

    def rests_on(self, card: Json) -> list[Rest]:
        """The rows that a card shows, each with where it comes from."""
        return rests_on(self.called.found, self.called.service, card["uuid"])

    @property
    def request_text(self) -> str:
        """The request, byte by byte: what the next form begins with."""
        return self.called.ask.body.decode()

    @property
    def request_pretty(self) -> str:
        body = self.called.ask.body
        return msgspec.json.format(body, indent=2).decode() if len(body) <= LONGEST_SHOWN else ""

    @property
    def answer_pretty(self) -> str:
        return msgspec.json.format(told(self.called.found).get_data(), indent=2).decode()

    @property
    def discovery_pretty(self) -> str:
        """The entry of the catalogue that belongs to this call."""
        service = self.called.service
        listed = discovery([each(service.pathway.title, service.templates, REQUIRED) for each in LISTINGS])["services"]
        entry = next(each for each in listed if each["id"] == service.options.service)
        return msgspec.json.format(msgspec.json.encode(entry), indent=2).decode()

    @property
    def curl(self) -> str:
        return (
            f"curl --silent --request POST {self.endpoint} \\\n"
            "  --header 'Content-Type: application/json' --data-binary @request.json"
        )

    @cached_property
    def why(self) -> Why:
        return why(self.called.found, self.called.service)

    @cached_property
    def timeline(self) -> Timeline:
        return timeline(self.called.found.assessment.case)

    def said(self, card: Json) -> list[Json]:
        """What the store holds of the answers to a card."""
        kept = [each for decision in self.history or () for each in decision["cards"] if each["card"] == card["uuid"]]
        return kept[-1]["feedback"] if kept else []


def indicator(name: str) -> tuple[str, str]:
    """The word and the sign of an indicator: colour alone says nothing."""
    return INDICATORS[name]


def markdown(text: str) -> Markup:
    """A card's detail as HTML: Markdown without HTML of its own."""
    return Markup(MARKDOWN.render(text))  # noqa: S704  markdown-it escapes all but its own tags
