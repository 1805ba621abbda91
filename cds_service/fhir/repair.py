"""Brings a resource that is not quite FHIR into the shape that is read: field by field, where that is safe.

Seen in real data: a lone object where a list is due and the reverse, a number where a text is due, empty strings,
leftovers of other versions. What loses nothing is put right silently. What cannot be read is left out and named, and
where leaving it out could change what the resource says (its status, whose it is, "do not give") there is no repair.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from . import datatypes, resources
from .datatypes import CodeableConcept, Fhir

# Without these a resource would say something else: they are read, or the resource is not.
DECISIVE = frozenset(
    {
        "resourceType",
        "status",
        "intent",
        "doNotPerform",
        "taken",
        "wasNotTaken",
        "notGiven",
        "wasNotGiven",
        "subject",
        "patient",
        "comparator",
        "clinicalStatus",
        "verificationStatus",
        "abatementBoolean",
        "abatementDateTime",
        "abatementPeriod",
        "abatementString",
        "abatementAge",
        "mode",
    }
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a field may be: text, number, flag, an object, or a list of objects or texts."""

    text: bool
    number: bool
    flag: bool
    one: type[Fhir] | None
    many: type[Fhir] | type[str] | None


def repair(plain: Mapping[str, Any], kind: type[Fhir], place: str, lost: list[str]) -> dict[str, Any]:
    """The known fields of `plain` in the shapes of `kind`. Paths of what had to be left out are added to `lost`."""
    fixed: dict[str, Any] = {}
    for name, shape in SHAPES[kind].items():
        value = plain.get(name)
        if value is None or value in ("", [], {}):  # nothing was said
            continue
        path = f"{place}.{name}" if place else name
        mended = _mend(value, shape, path, lost)
        if mended is None:
            lost.append(path)
        else:
            fixed[name] = mended
    return fixed


def changes_meaning(lost: list[str]) -> bool:
    """Whether something decisive had to be left out. A contained resource has no status of its own that matters."""
    return any(not DECISIVE.isdisjoint(path.split(".")) for path in lost if "contained." not in path)


def _mend(value: Any, shape: Shape, path: str, lost: list[str]) -> Any:
    """The value in a shape that is allowed, or None."""
    if isinstance(value, dict):
        return _mend_object(value, shape, path, lost)
    if isinstance(value, list):
        return _mend_list(value, shape, path, lost)
    if isinstance(value, bool):
        return value if shape.flag else None
    if isinstance(value, Decimal):
        return value if shape.number else str(value) if shape.text else None
    return _mend_text(value, shape) if isinstance(value, str) else None


def _mend_object(value: dict[str, Any], shape: Shape, path: str, lost: list[str]) -> Any:
    if shape.one is not None:
        return repair(value, shape.one, path, lost)
    if shape.many is not None and shape.many is not str:
        return [repair(value, shape.many, path, lost)]
    return None


def _mend_list(value: list[Any], shape: Shape, path: str, lost: list[str]) -> Any:
    if shape.many is None:
        return _mend(value[0], shape, path, lost) if len(value) == 1 else None
    each = Shape(shape.many is str, False, False, None if shape.many is str else shape.many, None)
    mended = [_mend(item, each, path, lost) for item in value]
    kept = [item for item in mended if item is not None]
    if len(kept) < len(value):
        lost.append(path)
    return kept


def _mend_text(value: str, shape: Shape) -> Any:
    if shape.text:
        return value
    if shape.number:
        return number(value.strip())
    if shape.flag:
        return {"true": True, "false": False}.get(value.strip().lower())
    if CodeableConcept in (shape.one, shape.many):
        return {"text": value}
    return [value] if shape.many is str else None


def number(text: str) -> Decimal | None:
    """The digits as they were written, as far as they are a finite number."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _shape(annotation: Any) -> Shape:
    """The shape of a field from its type: a union of str, Decimal, bool, FHIR types and lists of them."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    options = typing.get_args(annotation) if union else (annotation,)
    many = next((typing.get_args(option)[0] for option in options if typing.get_origin(option) is list), None)
    one = next((option for option in options if isinstance(option, type) and issubclass(option, Fhir)), None)
    return Shape(str in options, Decimal in options, bool in options, one, many)


SHAPES: Mapping[type[Fhir], Mapping[str, Shape]] = types.MappingProxyType(
    {
        kind: {field.encode_name: _shape(field.type) for field in msgspec.structs.fields(kind)}
        for kind in (*vars(datatypes).values(), *vars(resources).values())
        if isinstance(kind, type) and issubclass(kind, Fhir)
    }
)
