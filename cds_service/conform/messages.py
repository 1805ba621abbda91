"""Checks of what a service says: discovery and answers against schemas whose rules carry the number of their item."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types

from ..cdshooks.cards import LONGEST_SUMMARY
from .calls import Json, Service
from .checklist import Check, NotTried, published

DISCOVERY, RESPONSE = "discovery", "response"
HTML_OR_IMAGE = re.compile(r"<[A-Za-z/!?]|!\[")
MAY_BE_EMPTY = ("cards", "services")
SHORT = 60  # characters of a rule that are shown
AT_MOST_ONE = "at-most-one"
NO_CARD = "the service gave no card; --request FILE sends a request of yours"


@lru_cache(maxsize=4)
def schema(name: str) -> Json:
    """The schema of a message: `item` and `published` are numbers, which jsonschema does not look at."""
    found: Json = json.loads(files(__package__).joinpath(f"{name}.json").read_bytes())
    return found


# Which rules a message meets, and which of them it breaks


class Reading:
    """What the messages of a service were held against: item -> faults, for every item that had something to say."""

    def __init__(self) -> None:
        self.faults: dict[str, list[str]] = {}

    def add(self, name: str, place: str, message: Any) -> None:
        """Hold one message against its schema."""
        whole = schema(name)
        for item in touched(whole, whole, message):
            self.faults.setdefault(item, [])
        for error in Draft202012Validator(whole).iter_errors(message):
            item = item_of(whole, error.absolute_schema_path)
            where = ".".join(map(str, error.absolute_path)) or "the whole"
            rule = json.dumps(error.validator_value)
            said = f"{error.validator} {rule}" if len(rule) <= SHORT else error.validator
            self.faults.setdefault(item, []).append(f"{place}: {where} breaks {said}")


@lru_cache(maxsize=4)
def reading(service: Service) -> Reading:
    """Everything that the service said, held against the schemas."""
    found = Reading()
    for place, answer in service.answers():
        found.add(DISCOVERY if place == DISCOVERY else RESPONSE, place, answer.body)
    return found


def item_of(whole: Json, path: Iterable[str | int]) -> str:
    """The item of the innermost rule on the path of an error. The path does not say where a reference was followed."""
    node: Any = whole
    item = str(whole["item"])
    for part in path:
        while isinstance(node, dict) and part not in node and "$ref" in node:
            node = referred(whole, node["$ref"])
            item = str(node.get("item", item))
        if part != "$ref":
            node = node[part]
        item = str(node.get("item", item)) if isinstance(node, dict) else item
    return item


def referred(whole: Json, reference: str) -> Any:
    return whole["$defs"][reference.rpartition("/")[2]]


def touched(whole: Json, rule: Any, value: Any) -> Iterator[str]:
    """The items of all rules that have something to say of this value."""
    if not isinstance(rule, dict) or not speaks(rule, value):
        return
    if "item" in rule:
        yield str(rule["item"])
    if "$ref" in rule:
        yield from touched(whole, referred(whole, rule["$ref"]), value)
    for part in rule.get("allOf", ()):
        yield from touched(whole, part, value)
    if isinstance(value, dict):
        for name, part in rule.get("properties", {}).items():
            if name in value:
                yield from touched(whole, part, value[name])
    if isinstance(value, list):
        for each in value:
            yield from touched(whole, rule.get("items"), each)


def speaks(rule: Json, value: Any) -> bool:
    """Does the condition of a rule hold, so that it asks for something?"""
    if "if" in rule:
        return bool(Draft202012Validator(rule["if"]).is_valid(value))
    if "dependentRequired" in rule:
        return isinstance(value, dict) and any(name in value for name in rule["dependentRequired"])
    return True


def numbered(rule: Any) -> Iterator[tuple[str, list[int | str]]]:
    """Every numbered rule of a schema: its item, and its published numbers."""
    if isinstance(rule, dict):
        if "item" in rule:
            yield str(rule["item"]), rule.get("published", [])
        for part in rule.values():
            yield from numbered(part)
    elif isinstance(rule, list):
        for part in rule:
            yield from numbered(part)


def of_schema() -> Iterator[Check]:
    """One check for each item that a schema names."""
    numbers: dict[str, list[int | str]] = {}
    for name in (DISCOVERY, RESPONSE):
        for item, numbers_of_rule in numbered(schema(name)):
            numbers.setdefault(item, []).extend(numbers_of_rule)
    for item, numbers_of_rule in numbers.items():
        yield Check(item, published(*dict.fromkeys(numbers_of_rule)), rules_of(item))


def rules_of(item: str) -> Any:
    """The check of one item against the schemas."""

    def run(service: Service) -> Iterator[str]:
        found = reading(service).faults.get(item)
        if found is None:
            raise NotTried("nothing that was answered has it")
        yield from found

    return run


# What a schema cannot say


def cards(service: Service) -> Iterator[tuple[str, Json]]:
    """Every card with its place; NotTried without any."""
    found = [(place, card) for place, answer in service.answers() if place != DISCOVERY for card in answer.cards]
    if not found:
        raise NotTried(NO_CARD)
    yield from found


def suggestions(card: Json) -> list[Json]:
    return objects(card.get("suggestions"))


def actions(card: Json) -> list[Json]:
    return [action for suggestion in suggestions(card) for action in objects(suggestion.get("actions"))]


def objects(value: Any) -> list[Json]:
    """The objects of a list; the schema reports what is none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def nothing_is_null(service: Service) -> Iterator[str]:
    yield from scanned(service, "is null", lambda value: value is None)


def nothing_is_empty(service: Service) -> Iterator[str]:
    yield from scanned(service, "is empty", is_empty)


def scanned(service: Service, what: str, wrong: Any) -> Iterator[str]:
    for place, answer in service.answers():
        for path, value in parts(answer.body) if answer.body is not None else ():
            if wrong(value) and path not in MAY_BE_EMPTY:
                yield f"{place}: {path} {what}"


def is_empty(value: Any) -> bool:
    return value in ([], {}) or (isinstance(value, str) and not value.strip())


def parts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """A value and everything in it, with their paths."""
    yield path, value
    children: Mapping[Any, Any] = value if isinstance(value, dict) else {}
    if isinstance(value, list):
        children = dict(enumerate(value))
    for name, part in children.items():
        yield from parts(part, f"{path}.{name}" if path else str(name))


def summaries_are_short(service: Service) -> Iterator[str]:
    for place, card in cards(service):
        length = len(str(card.get("summary", "")).encode("utf-16-le", "surrogatepass")) // 2
        if length > LONGEST_SUMMARY:
            yield f"{place}: a summary of {length} characters (UTF-16), at most {LONGEST_SUMMARY} are shown"


def details_are_markdown(service: Service) -> Iterator[str]:
    for place, card in cards(service):
        if HTML_OR_IMAGE.search(str(card.get("detail", ""))):
            yield f"{place}: a detail with HTML or an image, which clients treat in different ways"


def cards_have_own_ids(service: Service) -> Iterator[str]:
    for place, answer in service.answers():
        ids = [each["uuid"] for each in answer.cards if "uuid" in each]
        if len(set(map(str, ids))) < len(ids):
            yield f"{place}: two cards with one uuid"


def suggestions_have_own_ids(service: Service) -> Iterator[str]:
    for place, answer in service.answers():
        ids = [each["uuid"] for card in answer.cards for each in suggestions(card) if "uuid" in each]
        if len(set(map(str, ids))) < len(ids):
            yield f"{place}: two suggestions with one uuid"


def recommended_as_many_as_may_be(service: Service) -> Iterator[str]:
    for place, card in cards(service):
        chosen = [each for each in suggestions(card) if each.get("isRecommended") is True]
        if card.get("selectionBehavior") == AT_MOST_ONE and len(chosen) > 1:
            yield f"{place}: {len(chosen)} suggestions are recommended, of which one may be taken"


def actions_are_not_chosen_one_by_one(service: Service) -> Iterator[str]:
    announced = any(str(each.get("version", "")).startswith("3.") for each in service.entries)
    for place, card in cards(service):
        if not announced and any("actionSelectionBehavior" in each for each in suggestions(card)):
            yield f"{place}: actionSelectionBehavior, though discovery does not say that CDS Hooks 3.0 is spoken"


def new_orders_are_fhir(service: Service) -> Iterator[str]:
    """Drafts are FHIR R4, and about the patient of the call."""
    made = list(new_orders(service))
    if not made:
        raise NotTried("nothing that was answered creates a resource")
    for place, patient, resource in made:
        kind, subject = str(resource.get("resourceType")), resource.get("subject", resource.get("for"))
        if fault := not_fhir(kind, resource):
            yield f"{place}: a {kind} that is no FHIR R4: {fault}"
        about = subject.get("reference") if isinstance(subject, dict) else None
        if subject is not None and not str(about).endswith(f"Patient/{patient}"):
            yield f"{place}: a {kind} that is not about the patient of the call"


def new_orders(service: Service) -> Iterator[tuple[str, str, Json]]:
    """What the cards would create, each with its place and the patient of the call."""
    for entry in service.some():
        patient = str(service.request(entry)["context"].get("patientId", ""))
        for name, request in service.requests(entry):
            answer = service.answered(entry, request)
            for card in answer.cards if answer is not None else ():
                for action in actions(card):
                    if action.get("type") == "create" and isinstance(action.get("resource"), dict):
                        yield f"{entry['id']}, {name}", patient, action["resource"]


def not_fhir(kind: str, resource: Json) -> str:
    """The first place at which a resource is no FHIR R4; "" if there is none. A value is never part of it."""
    from fhir.resources.R4B import get_fhir_model_class  # here: it is large, and needed for this alone
    from pydantic import ValidationError

    try:
        get_fhir_model_class(kind).model_validate(resource)
    except ValidationError as error:
        return ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
    except (LookupError, ValueError):  # of itself, or of one within it
        return "there is no such resource"
    return ""


CHECKS: tuple[Check, ...] = (
    *of_schema(),
    Check("3", published(3), nothing_is_null),
    Check("4", published(3), nothing_is_empty),
    Check("79", published(80), cards_have_own_ids),
    Check("80", published(83), summaries_are_short),
    Check("81", published(85), details_are_markdown),
    Check("93", published(119), suggestions_have_own_ids),
    Check("94", published(122, "cds-resp-1"), recommended_as_many_as_may_be),
    Check("96", (), actions_are_not_chosen_one_by_one),
    Check("102", published(130, 131), new_orders_are_fhir),
)
