"""Advice becomes cards (checklist 2.8 to 2.10): no more than the client takes, none dropped, nothing null or empty.

Every sentence comes from the content; here it is only laid out. Ids are stable: the same call gives the same ids. A
suggestion creates an order, or puts one in the place of a draft of the clinician's own (item 95).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple
from uuid import UUID

from cds_service.clinical.advice import REMOVAL, Advice, Draft
from cds_service.clinical.decide import SEVERITY
from cds_service.clinical.dismissals import is_line
from cds_service.clinical.tables import Pathway, Source

Json = dict[str, Any]

NAMESPACE = UUID("e3cad141-f24e-4c1b-8970-23cd116ed759").bytes  # of every id that we make
VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # RFC 9562: the upper bits of this digit are 10
TOPIC_SYSTEM = "urn:uuid:98936f5e-cdba-47b2-a4b1-142d82cc4d06"  # one for all topics: overrides are remembered by it
OVERRIDE_SYSTEM = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"
MICRO = re.compile(r"\bu(?=(?:mol|g)/)")  # umol/L, ug/L
DRAFTS = "{drafts}"  # where the words for suggestions are put that have no place of their own
LONGEST_SUMMARY = 139  # UTF-16 units (item 80)
UPDATE, DELETE_AND_CREATE, CREATE = "update", "delete-and-create", "create"  # how a client lets a draft be replaced
PREFERENCE_LIST = "urn:com.epic.cdshooks.action.code.system."  # a site's own item, by which some clients order
ALTERNATIVES, ANY, ONE = "alternatives", "any", "at-most-one"


class Title(NamedTuple):
    """A suggestion in words: its label, what its action does, and what is said where it removes a draft."""

    label: str
    description: str
    removal: str = ""


@dataclass(frozen=True, slots=True)
class CardOptions:
    """How cards are laid out for one client, and the fixed wording that they share."""

    guideline: Source  # the only link; the source of a card whose row names none of `sources`
    override_reasons: tuple[Json, ...] = ()
    closing: str = ""  # the sentence on every card: that nobody has approved the content yet
    selection_behaviour: str = ANY  # any | alternatives (at-most-one where the drafts exclude each other) | at-most-one
    max_cards: int = 3
    max_suggestions: int | None = None  # on one card; the rest stands in its text. None: all of them
    further: str = DRAFTS  # the words for the rest
    replacing: str = UPDATE  # update | delete-and-create | create: how a clinician's own draft may be replaced
    sources: Mapping[str, Source] = field(default_factory=dict)  # what a row may rest on, and its card names
    smart_launch: str = ""  # where the evidence view is launched as a SMART app; "": this client has none
    smart_label: str = ""
    action_selection: bool = False  # True: the client knows actionSelectionBehavior (item 96)
    order_details: bool = True  # False: the client takes an item of its preference list, and nothing else of an order


@dataclass(frozen=True, slots=True)
class CardIds:
    """Makes the ids of one call, the same whenever the same thing is answered to the same call (item 79)."""

    client: str
    service: str
    hook_instance: str

    def stable_id(self, *parts: str) -> str:
        """The id of the part of the answer that these words name."""
        words = map(encode_basestring_ascii, (self.client, self.service, self.hook_instance, *parts))
        return uuid5_text(f"[{', '.join(words)}]")  # as json.dumps writes a list of texts


def uuid5_text(name: str) -> str:
    """`str(uuid.uuid5(...))` of our namespace, much faster: an answer holds a dozen of them (RFC 9562, 5.5)."""
    found = sha1(NAMESPACE + name.encode(), usedforsecurity=False).hexdigest()
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{VARIANT[found[16]]}{found[17:20]}-{found[20:32]}"


@dataclass(frozen=True, slots=True)
class SuggestedOrder:
    """What a suggestion would order: the resource, and the words for it."""

    resource: Json
    title: Title
    parts: tuple[SuggestedOrder, ...] = ()  # of several orders that one suggestion makes: each by itself


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row on a card: a card that absorbed several rows is several of these."""

    card: str
    row: str
    indicator: str


@dataclass(frozen=True, slots=True)
class OfferedDraft:
    """One suggestion of a card: the draft that it offers."""

    card: str
    suggestion: str
    draft: Draft


@dataclass(frozen=True, slots=True)
class Cards:
    """The cards of an answer, and the rows and drafts of each, by the ids that feedback will name."""

    cards: list[Json]
    shown: tuple[ShownRow, ...] = ()
    offered: tuple[OfferedDraft, ...] = ()


def card_options(pathway: Pathway, approved: bool, **more: Any) -> CardOptions:
    """The options that follow from a pathway's content; `more` is what differs by client."""
    reasons = tuple(
        {"code": key.removeprefix("override."), "system": OVERRIDE_SYSTEM, "display": text}
        for key, text in pathway.messages.items()
        if key.startswith("override.")
    )
    closing = "" if approved else pathway.messages["not-approved"]
    further = pathway.messages.get("further-suggestions", DRAFTS)
    smart_label = pathway.messages["smart-link"]
    given = {"further": further, "sources": pathway.sources, "smart_label": smart_label, **more}
    return CardOptions(pathway.sources[pathway.card_source], reasons, closing, **given)


def build_cards(
    advice: Sequence[Advice], orders: Mapping[Draft, SuggestedOrder], ids: CardIds, options: CardOptions
) -> Cards:
    """The cards of an answer. `advice` comes most severe first; `orders` has each draft that the advice may suggest."""
    layout = _Layout(orders, ids, options)
    groups = _grouped(advice, options.max_cards)
    cards = [layout.card(group) for group in groups]
    shown = [
        ShownRow(card["uuid"], row, each.indicator)
        for card, group in zip(cards, groups, strict=True)
        for each in group
        for row in (each.row, *each.joined)
    ]
    return Cards(cards, tuple(shown), tuple(layout.suggested))


def _grouped(advice: Sequence[Advice], most: int) -> list[Sequence[Advice]]:
    """One group per card: all that was dismissed before shares one, and the last card holds all that no longer fits."""
    lines = tuple(each for each in advice if is_line(each.row))
    groups: list[Sequence[Advice]] = [(each,) for each in advice if not is_line(each.row)]
    groups += [lines] if lines else []
    if len(groups) <= most:
        return groups
    return [*groups[: most - 1], tuple(each for group in groups[most - 1 :] for each in group)]


class _Layout:
    """Lays out the cards of one answer; remembers which drafts an earlier card has offered."""

    def __init__(self, orders: Mapping[Draft, SuggestedOrder], ids: CardIds, options: CardOptions):
        self.orders, self.ids, self.options = orders, ids, options
        self.offered: set[Draft] = set()  # as suggestions
        self.in_words: set[Draft] = set()
        self.suggested: list[OfferedDraft] = []

    def card(self, group: Sequence[Advice]) -> Json:
        """One card from one advice, or from several that share the last place."""
        first, options = group[0], self.options
        whole = readable(first.summary)
        summary = shortened(whole)
        drafts, rest = self.fresh(group)
        card: Json = {
            "uuid": self.ids.stable_id(first.row),
            "summary": summary,
            "detail": self.detail(group, rest, cut=summary != whole),
            "indicator": max((each.indicator for each in group), key=SEVERITY.__getitem__),
            "source": {
                **_named(options.sources.get(first.provenance.source, options.guideline)),
                "topic": {"system": TOPIC_SYSTEM, "code": first.topic},
            },
        }
        if drafts:
            card["suggestions"] = [self.suggestion(first.row, draft) for draft in drafts]
            self.suggested += [
                OfferedDraft(card["uuid"], each["uuid"], draft)
                for each, draft in zip(card["suggestions"], drafts, strict=True)
            ]
            card["selectionBehavior"] = self.selection_behaviour(drafts)
        if options.override_reasons:
            card["overrideReasons"] = list(options.override_reasons)
        if links := self.links():
            card["links"] = links
        return card

    def links(self) -> list[Json]:
        """The guideline; and the evidence view, to which a client that launches it says from which call it comes."""
        options = self.options
        links = [{**_named(options.guideline), "type": "absolute"}] if options.guideline.url else []
        if options.smart_launch:
            links.append({"label": options.smart_label, "url": options.smart_launch, "type": "smart",
                          "appContext": self.ids.hook_instance})  # fmt: skip
        return links

    def detail(self, group: Sequence[Advice], rest: Sequence[Draft], cut: bool) -> str:
        """All that the group says, and who has approved it. An advice without a card of its own keeps its summary."""
        parts = [readable(group[0].summary)] if cut else []
        for place, advice in enumerate(group):
            if place:
                parts.append(f"**{readable(advice.summary)}**")
            parts.append(readable(advice.detail))
        parts.append(self.further(rest, "\n".join(parts)))
        parts.append(self.options.closing)
        return "\n\n".join(dict.fromkeys(part for part in parts if part)) or readable(group[0].summary)

    def further(self, rest: Sequence[Draft], said: str) -> str:
        """What is not offered as a suggestion, in words; a regimen that the text states already is not stated twice."""
        words = [(draft.kind, readable(self.orders[draft].title.description).strip()) for draft in rest]
        left = [each.rstrip(".") for kind, each in words if kind != "medicine" or each not in said]
        return self.options.further.replace(DRAFTS, "; ".join(left)) if left else ""

    def fresh(self, group: Sequence[Advice]) -> tuple[list[Draft], list[Draft]]:
        """The drafts of a group that no earlier card has offered, each once: as suggestions, and those for the text."""
        drafts = list(dict.fromkeys(draft for each in group for draft in each.drafts if draft not in self.offered))
        taken = [draft for draft in drafts if is_taken(self.orders[draft].resource, self.options.order_details)]
        chosen = taken if self.options.max_suggestions is None else taken[: self.options.max_suggestions]
        apart = self.in_words.union(chosen)
        rest = [draft for draft in drafts if draft not in apart]
        self.offered.update(chosen)
        self.in_words.update(rest)
        return chosen, rest

    def suggestion(self, row: str, draft: Draft) -> Json:
        """A suggestion and what it does, described in words that stand alone (item 98)."""
        title, resource = self.orders[draft].title, self.orders[draft].resource
        own = (draft.kind, draft.id)
        if parts := self.orders[draft].parts:
            made = [
                {
                    "type": "create",
                    "description": part.title.description,
                    "resource": {**part.resource, "id": self.ids.stable_id("draft", *own, part.title.label)},
                }
                for part in parts
            ]
            return self.together({"label": title.label, "uuid": self.ids.stable_id(row, *own), "actions": made})
        key = (draft.kind, draft.id, draft.replaces) if draft.replaces else own
        if draft.kind == REMOVAL:
            gone = {"type": "delete", "description": title.description, "resourceId": draft.replaces}
            return {"label": title.label, "uuid": self.ids.stable_id(row, *key), "actions": [gone]}
        done = actions(draft, self.options.replacing, title, resource, self.ids.stable_id("draft", *key))
        found = self.together({"label": title.label, "uuid": self.ids.stable_id(row, *key), "actions": done})
        return found | {"isRecommended": True} if draft.recommended else found

    def together(self, suggestion: Json) -> Json:
        """A suggestion of several actions says that they belong together, to a client that could take some of them."""
        if self.options.action_selection and len(suggestion["actions"]) > 1:
            return {**suggestion, "actionSelectionBehavior": "all"}
        return suggestion

    def selection_behaviour(self, drafts: Sequence[Draft]) -> str:
        """How many suggestions may be taken. Only regimens exclude each other; tests never do."""
        if self.options.selection_behaviour != ALTERNATIVES:
            return self.options.selection_behaviour
        return ONE if len(drafts) > 1 and all(draft.kind == "medicine" for draft in drafts) else ANY


def form_of(draft: Draft, taken: str) -> str:
    """How this draft is offered to a client that takes replacements in the form `taken`.

    What cannot be named cannot be changed: a draft without an id, or of a type that we do not write.
    """
    kind, _, name = draft.replaces.partition("/")
    return taken if kind == "MedicationRequest" and name else CREATE


def actions(draft: Draft, taken: str, title: Title, resource: Json, new_id: str) -> list[Json]:
    """One action, or two that belong together. In a transaction deletes come before creates, and these before updates.

    `resource` is a new order, or for an update the clinician's own as it becomes.
    """
    form = form_of(draft, taken)
    if form == UPDATE:
        return [{"type": "update", "description": title.description, "resource": resource}]
    new = {"resourceType": resource["resourceType"], **resource, "id": new_id}
    create = {"type": "create", "description": title.description, "resource": new}
    if form == DELETE_AND_CREATE:
        return [{"type": "delete", "description": title.removal, "resourceId": draft.replaces}, create]
    return [create]


def is_taken(resource: Json, order_details: bool) -> bool:
    """Does the client order what is meant? One that ignores order details needs an item of its own preference list."""
    concept = resource.get("medicationCodeableConcept")
    if order_details or concept is None:
        return True
    return any(str(each.get("system", "")).startswith(PREFERENCE_LIST) for each in concept.get("coding", []))


def _named(source: Source) -> Json:
    """A source as label and, where it has one, url."""
    return {"label": source.title, "url": source.url} if source.url else {"label": source.title}


def readable(text: str) -> str:
    """A unit as a person writes it. In Markdown the stars of two 10*9/L would vanish and slant what lies between."""
    return MICRO.sub("µ", text.replace("10*9/L", "×10⁹/L"))


def shortened(summary: str) -> str:
    """A summary that every client shows whole: at most 139 UTF-16 units, cut between words if need be."""
    if utf16_units(summary) <= LONGEST_SUMMARY:
        return summary
    while utf16_units(summary) > LONGEST_SUMMARY - 2:
        head, space, _ = summary.rpartition(" ")
        summary = head if space else summary[:-1]
    return summary.rstrip(" ,;:") + " …"


def utf16_units(text: str) -> int:
    """The length of a text as most clients count it."""
    return len(text.encode("utf-16-le")) // 2
