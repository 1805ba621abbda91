"""A TOML table as one of our types, or what is wrong with it: the place, the fault and what is allowed.

msgspec does the converting; what it finds is put into the words of someone who edits the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from .faults import Faults, listing, nearest


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of TOML. No list names anything twice, and what is in `above_zero` is above 0."""

    above_zero: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in self.above_zero:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"'{name}' is {value}; it must be above 0")
        for name, written in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            value = getattr(self, name)
            if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
                twice = [each for each in dict.fromkeys(value) if value.count(each) > 1]
                if twice:
                    raise ValueError(f"'{written}' names {listing(map(repr, twice))} more than once")


def read(kind: Any, value: object, place: str, faults: Faults) -> Any:
    """The value as one of our types; None, with its faults, if its shape is wrong."""
    quoted = list(quoted_numbers(kind, value))
    try:
        found = converted(kind, value)
    except msgspec.ValidationError as error:
        for line in dict.fromkeys((*explained(kind, value, str(error)), *quoted)):
            faults.add(place, line)
        return None
    for line in quoted:
        faults.add(place, line)
    return None if quoted else found


def converted(kind: Any, value: object) -> Any:
    """The value as `kind`; msgspec.ValidationError if it is none.

    Always as the field of a struct: msgspec 0.22 frees the pattern of an Annotated str that stands in no struct once
    too often, and the interpreter crashes some calls later.
    """
    try:
        return msgspec.convert({"value": value}, holder(kind), builtin_types=(date,)).value
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(str(error).replace("`$.value", "`$", 1)) from None


@lru_cache(maxsize=64)
def holder(kind: Any) -> Any:
    return msgspec.defstruct("Holder", [("value", kind)])


def quoted_numbers(kind: Any, value: object, where: str = "") -> Iterator[str]:
    """Numbers that are written as text, which msgspec would take."""
    if isinstance(value, list) and (inner := entry_type(kind)) is not None:
        for number, each in enumerate(value, start=1):
            yield from quoted_numbers(inner, each, f"{where}entry {number} ")
    elif isinstance(value, dict) and (struct := struct_of(kind)):
        for name, each in fields(struct).items():
            here = f"{where}{name!r} "
            if isinstance(value.get(name), str) and Decimal in members(each):
                yield f"{here}is {value[name]!r}; it must be number"
            else:
                yield from quoted_numbers(each, value.get(name), here)


@lru_cache(maxsize=64)
def fields(struct: type[Struct]) -> dict[str, Any]:
    """The types of a struct's fields, by the names that TOML has for them."""
    return {each.encode_name: each.type for each in msgspec.structs.fields(struct)}


def members(kind: Any) -> tuple[Any, ...]:
    """What a type may be: the members of a union, without what Annotated adds."""
    if get_origin(kind) is Annotated:
        return members(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return tuple(each for member in get_args(kind) for each in members(member))
    return (kind,)


def struct_of(kind: Any) -> type[Struct] | None:
    return next((each for each in members(kind) if isinstance(each, type) and issubclass(each, Struct)), None)


def entry_type(kind: Any) -> Any:
    """The type of a list's entries, or None."""
    return next((get_args(each)[0] for each in members(kind) if get_origin(each) is tuple), None)


STEP = re.compile(r"\.([\w-]+)|\[(\d+|\.\.\.)\]")
EXPECTED = re.compile(r"Expected `(.+?)`(?: matching regex (.+)| of length >= (\d+)| (>=|<=) ([\d.]+)|, got `(.+)`)$")
IN_TOML = {"decimal": "number", "int": "integer", "str": "string", "object": "table", "bool": "true or false"}


def explained(kind: Any, value: Any, message: str) -> Iterator[str]:
    """What msgspec found, in the words of someone who edits the file."""
    text, _, path = message.partition(" - at `")
    where = ""
    for key, number in STEP.findall(path):
        if number == "...":  # a value of a table whose keys are free: msgspec does not say which
            kind, value, step = next(wrong_values(kind, value), (None, None, ""))
        elif number:
            kind, value, step = entry_type(kind), value[int(number)], f"entry {int(number) + 1} "
        else:
            struct = struct_of(kind)
            kind, value, step = fields(struct).get(key) if struct else None, value.get(key), f"{key!r} "
        where += step
    yield from (f"{where}{line}" for line in faults_of(kind, value, text))


def wrong_values(kind: Any, table: dict[str, Any]) -> Iterator[tuple[Any, Any, str]]:
    """The values of a free table that are not of its type."""
    inner = next((get_args(each)[1] for each in members(kind) if get_origin(each) is dict), None)
    for key, each in table.items():
        try:
            converted(inner, each)
        except msgspec.ValidationError:
            yield inner, each, f"{key!r} "


def faults_of(kind: Any, value: Any, text: str) -> Iterator[str]:
    """The faults of one value. Of a table all keys that are unknown or missing are named at once."""
    struct = struct_of(kind)
    if struct and isinstance(value, dict) and text.startswith("Object "):
        known = fields(struct)
        for key in sorted(value.keys() - known.keys()):
            yield f"unknown key {key!r}.{nearest(key, known)} Known: {listing(known)}"
        required = [each.encode_name for each in msgspec.structs.fields(struct) if each.required]
        if missing := [key for key in required if key not in value]:
            yield f"missing {listing(map(repr, missing))}"
    elif text.startswith("Invalid enum value") or (text.startswith("Expected `str") and words_allowed(kind)):
        named = text.partition("'")[2].rpartition("'")[0] or value
        allowed = words_allowed(kind)
        if isinstance(named, str):
            yield f"is {named!r}.{nearest(named, allowed)} Allowed: {', '.join(allowed)}"
        else:  # 3.0 for "3.0"
            written = str(named).lower() if isinstance(named, bool) else named
            quoted = ", ".join(f'"{each}"' for each in allowed)
            yield f"is {written}, which is no text in quotation marks. Allowed: {quoted}"
    elif match := EXPECTED.match(text):
        yield expected(value, *match.groups())
    else:
        yield text


def words_allowed(kind: Any) -> list[str]:
    """The words that a value, or a key of it, may be; none where it may be any."""
    return [each for member in members(kind) for each in literals(member)]


def literals(kind: Any) -> tuple[str, ...]:
    """The words of a Literal, also where they are the keys of a table."""
    if get_origin(kind) is dict:
        return literals(get_args(kind)[0])
    return get_args(kind) if get_origin(kind) is Literal else ()


def expected(value: Any, *said: str | None) -> str:
    """What a value should have been, where a plain sentence says it better than msgspec."""
    kinds, pattern, length, sign, bound, _ = said
    if pattern is not None:
        written = pattern.strip("'").replace("\\\\", "\\")
        return "is empty" if written == "\\S" else f"is {value!r}; it must match {written}"
    if length is not None:
        return f"has {len(value)} entries; it needs at least {length}"
    if sign is not None:
        return f"is {value}; it must be at {'least' if sign == '>=' else 'most'} {bound}"
    if kinds == "date":
        return f"is {value!r}, not a date like 2026-01-31"
    wanted = " or ".join(IN_TOML.get(each, each) for each in str(kinds).split(" | ") if each != "null")
    return f"is {value!r}; it must be {wanted}"
