"""The shape of the content, checked against schemas/content.json (JSON Schema 2020-12), element by element.

An element (a row, a threshold, an analyte) of the wrong shape is reported and left out; the others are built and
checked all the same, so that one run names every fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from .faults import Faults, listing, nearest
from .files import Toml

WHOLE = {
    "content.toml": "content", "messages.toml": "messages", "plain-words.toml": "messages", "pathway.toml": "pathway",
    "site.toml": "site",
}  # fmt: skip
KEYED = {"sources.toml": "source", "analytes.toml": "analyte", "problems.toml": "problem", "medicines.toml": "medicine"}
LISTED = {
    "thresholds.toml": ("threshold", "threshold"),
    "orderables.toml": ("orderable", "orderable"),
    "regimens.toml": ("regimen", "regimen"),
    "interpret.toml": ("row", "row-interpret"),
    "treat.toml": ("row", "row-treat"),
    "safety.toml": ("row", "row-safety"),
    "orders.toml": ("row", "row-orders"),
    "notes.toml": ("row", "row-notes"),
}
PHRASES = ("negations", "past")  # the lists beside the concepts of problems.toml


@dataclass(frozen=True, slots=True)
class Element:
    """One row, threshold, analyte ... of a file. One that is not `sound` is known by its id, and no more."""

    place: str
    id: str
    table: Toml
    sound: bool


class Shapes:
    """Validates elements by kind. Compiled once; TOML's dates and decimals count as what they are."""

    def __init__(self) -> None:
        schema = json.loads(files(__package__).joinpath("schemas/content.json").read_text(encoding="utf-8"))
        numbers = Draft202012Validator.TYPE_CHECKER.redefine_many({"number": is_number, "integer": is_whole})
        validator = extend(Draft202012Validator, {"isDate": date_fault}, type_checker=numbers)
        self._validators = {
            kind: validator({"$defs": schema["$defs"], "$ref": f"#/$defs/{kind}"}) for kind in schema["$defs"]
        }

    def elements(self, place: str, table: Toml, faults: Faults) -> list[Element]:
        """The elements of one file, each reported if its shape is wrong or its id a duplicate."""
        name = place.rpartition("/")[2]
        if name in WHOLE:
            return [self._element(place, "", table, WHOLE[name], faults)] if table else []
        if name in KEYED:
            return self._keyed(place, table, KEYED[name], faults)
        return self._listed(place, table, *LISTED[name], faults)

    def _keyed(self, place: str, table: Toml, kind: str, faults: Faults) -> list[Element]:
        found = []
        for key, value in table.items():
            if key in PHRASES and kind == "problem":
                self._element(f"{place} {key}", key, value, "phrases", faults)
            elif isinstance(value, dict):
                found.append(self._element(f'{place} "{key}"', key, value, kind, faults))
            else:
                faults.add(place, f"{key!r} is no table; each {kind} is a [table] with its id as the name")
        return found

    def _listed(self, place: str, table: Toml, key: str, kind: str, faults: Faults) -> list[Element]:
        for other in table.keys() - {key}:
            faults.add(place, f"unknown key {other!r}; the file holds [[{key}]] only")
        entries = table.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            faults.add(place, f"{key!r} must be written as [[{key}]]")
            return []
        found: dict[str, Element] = {}
        for number, entry in enumerate(entries, start=1):
            name = str(entry.get("id", number))
            here = f'{place} {key} "{name}"' if "id" in entry else f"{place} {key} {number}"
            if name in found:
                faults.add(here, "the id is used twice")
            else:
                found[name] = self._element(here, name, entry, kind, faults)
        return list(found.values())

    def _element(self, place: str, name: str, table: Any, kind: str, faults: Faults) -> Element:
        lines = [line for error in self._validators[kind].iter_errors(table) for line in phrase(error)]
        for line in lines:
            faults.add(place, line)
        return Element(place, name, table, not lines)


def is_number(_: object, value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def is_whole(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def date_fault(_: object, wanted: bool, value: object, __: object) -> Iterator[ValidationError]:
    """The keyword `isDate`: a TOML date, without a time."""
    if wanted and type(value) is not date:
        yield ValidationError(f"is {value!r}, not a date like 2026-01-31")


def phrase(error: ValidationError) -> Iterator[str]:
    """What jsonschema found, in the words of someone who edits the file."""
    where = "".join(f"{step!r} " if isinstance(step, str) else f"entry {step + 1} " for step in error.absolute_path)
    rule, value, allowed = error.validator, error.instance, error.validator_value
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in sorted(value.keys() - known.keys()):
            yield f"{where}unknown key {key!r}.{nearest(key, known)} Known: {listing(known)}"
    elif rule == "required":
        missing = listing(f"{key!r}" for key in allowed if key not in value)
        yield f"{where}missing {missing}"
    elif rule == "enum":
        yield f"{where}is {value!r}.{nearest(str(value), allowed)} Allowed: {', '.join(allowed)}"
    else:
        yield f"{where}{worded(rule, value, allowed, error.message)}"


def worded(rule: str, value: object, allowed: object, message: str) -> str:
    """The fault of one value, where a plain sentence says it better than jsonschema."""
    if rule == "exclusiveMinimum":
        return f"is {value}; it must be above {allowed}"
    if rule == "minimum":
        return f"is {value}; it must be at least {allowed}"
    if rule == "maximum":
        return f"is {value}; it must be at most {allowed}"
    if rule == "type":
        return f"is {value!r}; it must be {' or '.join(allowed) if isinstance(allowed, list) else allowed}"
    if rule == "pattern":
        return "is empty" if allowed == "\\S" else f"is {value!r}; it must match {allowed}"
    if rule == "minItems":
        return f"has {len(value)} entries; it needs at least {allowed}"
    return message


def sound(elements: Iterable[Element]) -> list[Element]:
    """The elements that can be built."""
    return [element for element in elements if element.sound]
