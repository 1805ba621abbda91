"""What is wrong with a JSON text that should be one of our types: every fault, by path, keyword and what is allowed.

msgspec stops at the first fault. A text that it refuses is read again here, part by part, along the same type, so that
whoever sends it hears everything at once. A fault never quotes the value: it may be patient data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import inspect

PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
KINDS = {b"{": "object", b"[": "array", b'"': "string", b"t": "boolean", b"f": "boolean", b"n": "null"}
NAMES = (  # what a type is called in JSON Schema
    (inspect.StructType, "object"),
    (inspect.DictType, "object"),
    (inspect.ListType, "array"),
    (inspect.StrType, "string"),
    (inspect.NoneType, "null"),
    (inspect.BoolType, "boolean"),
    (inspect.IntType, "number"),
    (inspect.FloatType, "number"),
)
EXPLAINED = {  # path of what is missing -> why it may be
    "context.draftOrders": "a client leaves it out where it has not granted this service the scopes for unsigned orders"
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a body: `path` as "context.patientId" ("" for the whole), `keyword` as in JSON
    Schema, `text` in words for a developer."""

    path: str
    keyword: str
    text: str


NOT_JSON = Fault("", "json", "the body is not JSON in UTF-8")
TOO_DEEP = Fault("", "depth", "the body is nested too deep")
NO_OBJECT = Fault("", "type", "the body is not an object")


class BadRequest(Exception):
    """A body that cannot be read as what it should be: 400, with what is wrong and where."""

    def __init__(self, *faults: Fault):
        self.faults = faults
        super().__init__("; ".join(f"{fault.path}: {fault.keyword}" for fault in faults))

    @property
    def lacks_draft_orders(self) -> bool:
        """Does an order hook come without its orders? The operator must hear of it: the scopes are not granted."""
        return any(fault.path in EXPLAINED and fault.keyword == "required" for fault in self.faults)


def faults_of(kind: Any, body: bytes) -> Iterator[Fault]:
    """Every fault of a JSON text that is not of this type, in the order of the type's fields."""
    return _faults(described(kind), msgspec.Raw(body.strip()), "")


@lru_cache(maxsize=32)
def described(kind: Any) -> inspect.Type:
    """The type in msgspec's own terms."""
    return inspect.type_info(kind)


def kind_of(raw: msgspec.Raw) -> str:
    """What kind of JSON value this is."""
    return KINDS.get(bytes(memoryview(raw)[:1]), "number")


def text_of(raw: msgspec.Raw | None) -> str:
    """A text as it is; "" for anything else, and for half of a surrogate pair."""
    if raw is None or kind_of(raw) != "string":
        return ""
    try:
        found: str = msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return ""
    return found


def _faults(kind: inspect.Type, raw: msgspec.Raw, path: str) -> Iterator[Fault]:
    """The faults of one value."""
    if isinstance(kind, inspect.Metadata):
        wanted = (kind.extra_json_schema or {}).get("type", "")
        if wanted and kind_of(raw) != wanted:
            yield _wrong_type(path, wanted)
        else:
            yield from _faults(kind.type, raw, path)
    elif isinstance(kind, inspect.UnionType):
        yield from _union_faults(kind, raw, path)
    elif isinstance(kind, inspect.LiteralType):
        if text_of(raw) not in kind.values:
            yield Fault(path, "enum", f"{path}: is not {' or '.join(map(str, kind.values))}")
    elif (name := _name(kind)) and kind_of(raw) != name:
        yield _wrong_type(path, name)
    else:
        yield from _inner_faults(kind, raw, path)


def _inner_faults(kind: inspect.Type, raw: msgspec.Raw, path: str) -> Iterator[Fault]:
    """The faults inside a value of the right kind."""
    if isinstance(kind, inspect.StructType):
        yield from _struct_faults(kind, raw, path)
    elif isinstance(kind, inspect.ListType):
        yield from _list_faults(kind, raw, path)
    elif isinstance(kind, inspect.StrType):
        yield from _text_faults(kind, raw, path)


def _union_faults(kind: inspect.UnionType, raw: msgspec.Raw, path: str) -> Iterator[Fault]:
    members = [(_name(each), each) for each in kind.types]
    fitting = next((each for name, each in members if name == kind_of(raw)), None)
    if fitting is None:
        yield _wrong_type(path, " or ".join(name for name, _ in members))
    else:
        yield from _faults(fitting, raw, path)


def _struct_faults(kind: inspect.StructType, raw: msgspec.Raw, path: str) -> Iterator[Fault]:
    try:
        parts = PARTS.decode(raw)
    except msgspec.DecodeError:
        yield NOT_JSON
        return
    for field in kind.fields:
        here = f"{path}.{field.encode_name}" if path else field.encode_name
        part = parts.get(field.encode_name)
        if part is None or (here in EXPLAINED and kind_of(part) == "null"):
            if field.required:
                why = f"; {EXPLAINED[here]}" if here in EXPLAINED else ""
                yield Fault(here, "required", f"{here}: is missing{why}")
        else:
            yield from _faults(field.type, part, here)


def _list_faults(kind: inspect.ListType, raw: msgspec.Raw, path: str) -> Iterator[Fault]:
    entries = ENTRIES.decode(raw)
    if kind.max_length is not None and len(entries) > kind.max_length:
        yield Fault(path, "maxItems", f"{path}: has more than {kind.max_length} entries")
        return
    for place, entry in enumerate(entries):
        yield from _faults(kind.item_type, entry, f"{path}.{place}")


def _text_faults(kind: inspect.StrType, raw: msgspec.Raw, path: str) -> Iterator[Fault]:
    text = text_of(raw)
    if not text and bytes(raw) != b'""':
        yield _wrong_type(path, "string")
    elif kind.min_length is not None and len(text) < kind.min_length:
        yield Fault(path, "minLength", f"{path}: is empty")
    elif kind.max_length is not None and len(text) > kind.max_length:
        yield Fault(path, "maxLength", f"{path}: is longer than {kind.max_length} characters")
    elif kind.pattern is not None and not re.search(kind.pattern, text):
        yield Fault(path, "pattern", f"{path}: is not of the form that is allowed")


def _name(kind: inspect.Type) -> str:
    """What a type is called in JSON Schema; "" for one that may be anything."""
    kind = kind.type if isinstance(kind, inspect.Metadata) else kind
    return next((name for each, name in NAMES if isinstance(kind, each)), "")


def _wrong_type(path: str, wanted: str) -> Fault:
    return Fault(path, "type", f"{path or 'the body'}: is not of type {wanted}") if path else NO_OBJECT
