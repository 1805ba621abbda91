"""No type of ours has a pattern beside a list, a tuple or a table: msgspec 0.22 frees it once too often.

It keeps the pattern where it looks for the type of the elements; the process crashes when the type is freed, which may
be at its end. (`TypeNode_get_traverse_ranges` leaves the pattern out that `TypeNode_Convert` puts before them.)
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import msgspec
from msgspec.inspect import (
    AnyType,
    DictType,
    Field,
    ListType,
    NoneType,
    StrType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarTupleType,
)

import cds_service

CONTAINERS = (DictType, ListType, TupleType, VarTupleType)


def structs() -> list[type[msgspec.Struct]]:
    """Every struct that a module of ours defines."""
    found: dict[type[msgspec.Struct], None] = {}
    for module in pkgutil.walk_packages(cds_service.__path__, "cds_service."):
        if ".migrations" in module.name:  # run by Alembic alone
            continue
        for each in vars(importlib.import_module(module.name)).values():
            if isinstance(each, type) and issubclass(each, msgspec.Struct) and each is not msgspec.Struct:
                found[each] = None
    return list(found)


def unsound(kind: Type, where: str, seen: set[type] | None = None) -> Iterator[str]:
    """The places at which a pattern stands beside a container."""
    seen = set() if seen is None else seen
    if isinstance(kind, StructType):
        if kind.cls in seen:
            return
        seen.add(kind.cls)
    if isinstance(kind, UnionType):
        patterns = [each for each in kind.types if isinstance(each, StrType) and each.pattern is not None]
        if patterns and any(isinstance(each, CONTAINERS) for each in kind.types):
            yield where
    for name in kind.__struct_fields__:
        value = getattr(kind, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, Field):
                yield from unsound(each.type, f"{where}.{each.name}", seen)
            elif isinstance(each, Type):
                yield from unsound(each, where, seen)


def test_no_pattern_stands_beside_a_container():
    """Of all of them at once: to list them every module is imported, which no other run of tests shall wait for."""
    every = structs()
    assert len(every) > 50
    assert not [
        place
        for struct in every
        for place in unsound(msgspec.inspect.type_info(struct), f"{struct.__module__}.{struct.__qualname__}")
    ]


def test_one_would_be_found():
    """Told by msgspec's descriptions alone: the types themselves would end this process."""
    text, numbers = StrType(pattern="x"), ListType(AnyType())
    for bad in (UnionType((text, numbers)), DictType(StrType(), UnionType((text, numbers, NoneType())))):
        assert [*unsound(bad, "here")] == ["here"]
    for good in (UnionType((text, NoneType())), UnionType((StrType(min_length=1), numbers)), ListType(text)):
        assert not [*unsound(good, "here")]
