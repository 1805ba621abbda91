"""A clinician's own order, sent back with a change, as valid FHIR R4: also where what the client sent was not.

A strict parser refuses a whole answer for one element in the wrong shape. So what is sent back is only what R4 allows:
a lone object where a list is due becomes a list, a number that was sent as text becomes a number, and what cannot be
put right is left out. `order-shapes.json` says what is allowed; it is made from fhir.resources (tests/fhir).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from .bundles import number

Json = dict[str, Any]

SHAPE = re.compile(r"(\w+)(\[\])?(!)?(?:\?(\w+))?(?:=(.+))?")
LARGEST_EXPONENT = 18  # of a number that is sent back
URI = re.compile(r"\S+")
CODE = re.compile(r"\S+( \S+)*")
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+")
TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?")
ZONE = r"(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
INSTANT = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})T{TIME.pattern}{ZONE}")
MONTH = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2]))?")
XHTML = re.compile(r"\s*<div\b.*</div>\s*", re.DOTALL)
BASE64 = re.compile(r"[A-Za-z0-9+/\s]*={0,2}")


@dataclass(frozen=True, slots=True)
class Element:
    """What one element may be: its type, whether it is a list, whether it must be there, the group of which only one
    may be there ("": none), and the codes that are allowed (none: any)."""

    kind: str
    many: bool
    required: bool
    group: str
    codes: frozenset[str]


@cache
def shapes() -> Mapping[str, Mapping[str, Element]]:
    """The elements of every type that an order may hold, read when the first order is sent back."""
    text = files(__package__).joinpath("order-shapes.json").read_text(encoding="utf-8")
    return {
        kind: {name: _element(shape) for name, shape in elements.items()} for kind, elements in json.loads(text).items()
    }


def _element(shape: str) -> Element:
    match = SHAPE.fullmatch(shape)
    assert match is not None, shape
    kind, many, required, group, codes = match.groups()
    return Element(kind, bool(many), bool(required), group or "", frozenset(codes.split("|") if codes else ()))


def valid_order(sent: bytes) -> Json | None:
    """What R4 allows of a resource that was sent; None where it is none that can be sent back.

    What must be there and is not is left to the caller.
    """
    plain = json.loads(sent, parse_float=number, parse_int=number)
    kind = plain.get("resourceType") if isinstance(plain, dict) else None
    if not isinstance(kind, str) or kind not in shapes():
        return None
    found = {"resourceType": kind, **_elements(plain, kind)}
    return _without_lost_references(found)


def _elements(value: Json, kind: str) -> Json:
    """The elements of an object that R4 allows, each in its shape; of a group the first."""
    found: Json = {}
    groups: set[str] = set()
    for name, element in shapes()[kind].items():
        if name not in value or element.group in groups:
            continue
        mended = _mended(value[name], element)
        if mended is None:
            continue
        found[name] = mended
        if element.group:
            groups.add(element.group)
    return found


def _mended(value: Any, element: Element) -> Any:
    """A value in the shape of its element, or None."""
    given = value if isinstance(value, list) else [value]
    mended = [each for each in (_one(part, element) for part in given) if each is not None]
    if not mended:
        return None
    return mended if element.many else mended[0] if len(given) == 1 else None


def _one(value: Any, element: Element) -> Any:
    if element.kind in PRIMITIVES:
        found = PRIMITIVES[element.kind](value)
        return found if not element.codes or found in element.codes else None
    if not isinstance(value, dict):
        return None
    kind = str(value.get("resourceType")) if element.kind == "Resource" else element.kind
    if kind not in shapes():
        return None
    found = _elements(value, kind)
    if any(needed.required and name not in found for name, needed in shapes()[kind].items()) or not found:
        return None
    if kind == "Extension" and found.keys() <= {"url", "id"}:  # its value is lost
        return None
    return {"resourceType": kind, **found} if element.kind == "Resource" else found


def _without_lost_references(resource: Json) -> Json:
    """The resource without references to contained resources that are not among those that are sent back."""
    contained = {f"#{each.get('id')}" for each in resource.get("contained", ())} | {"#"}

    def cleaned(value: Any) -> Any:
        if isinstance(value, list):
            return [part for part in map(cleaned, value) if part not in ({}, [])]
        if not isinstance(value, dict):
            return value
        lost = str(value.get("reference", "")).startswith("#") and value["reference"] not in contained
        parts = {name: cleaned(part) for name, part in value.items() if not (lost and name == "reference")}
        return {name: part for name, part in parts.items() if part not in ({}, [])}

    found: Json = cleaned(resource)
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def _of_form(form: re.Pattern[str]) -> Callable[[Any], str | None]:
    def text(value: Any) -> str | None:
        found = _text(value)
        return found if found is not None and form.fullmatch(found) else None

    return text


def _number(value: Any) -> Decimal | None:
    found = number(value.strip()) if isinstance(value, str) else value
    if not isinstance(found, Decimal) or not found.is_finite():
        return None
    places = -int(found.as_tuple().exponent)
    return found if abs(found.adjusted()) <= LARGEST_EXPONENT >= places else None


def _whole(least: int) -> Callable[[Any], int | None]:
    def whole(value: Any) -> int | None:
        found = _number(value)
        fits = found is not None and found == found.to_integral_value() and least <= found < 2**31
        return int(found) if fits and found is not None else None

    return whole


def _flag(value: Any) -> bool | None:
    written = {"true": True, "false": False}
    return value if isinstance(value, bool) else written.get(value) if isinstance(value, str) else None


def _day(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    if MONTH.fullmatch(value):
        return value if value[:4] != "0000" else None
    try:
        return value if len(value) == len("2026-01-31") and date.fromisoformat(value) else None
    except ValueError:
        return None


def _instant(value: Any) -> str | None:
    match = INSTANT.fullmatch(value) if isinstance(value, str) else None
    return value if match and _day(match[1]) else None


def _moment(value: Any) -> str | None:
    return _day(value) or _instant(value)


PRIMITIVES: Mapping[str, Callable[[Any], Any]] = {
    "Boolean": _flag,
    "Integer": _whole(-(2**31)),
    "UnsignedInt": _whole(0),
    "PositiveInt": _whole(1),
    "Decimal": _number,
    "String": _text,
    "Markdown": _text,
    "Code": _of_form(CODE),
    "Id": _of_form(ID),
    "Uri": _of_form(URI),
    "Url": _of_form(URI),
    "Canonical": _of_form(URI),
    "Oid": _of_form(OID),
    "UuidVersion": _of_form(re.compile(r"urn:uuid:[0-9a-f-]{36}")),
    "Date": _day,
    "DateTime": _moment,
    "Instant": _instant,
    "Time": _of_form(TIME),
    "Xhtml": _of_form(XHTML),
    "EncodedBytes": _of_form(BASE64),
}
