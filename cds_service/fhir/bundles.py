"""Decodes what came under one prefetch key, or as one answer of a FHIR server: nothing, one resource, or a Bundle.

A Bundle is decoded whole, in one pass; what came in a hook request was decoded with it. Only when something does not
fit is a Bundle taken entry by entry, so that one odd resource costs itself and not its neighbours. Numbers keep their
digits: 150.10 stays 150.10.

What is not quite FHIR is repaired field by field, where that is safe: a lone object where a list is due and the
reverse, a number where a text is due, empty strings, leftovers of other versions. What loses nothing is put right
silently. What cannot be read is left out and named, and where leaving it out could change what the resource says (its
status, whose it is, "do not give") there is no repair.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, TypeVar

import msgspec

from ..clinical.record import Ignored
from . import resources
from .resources import CodeableConcept, Entry, Fhir, Link, Resource, listed

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
    texts: bool
    one: type[Fhir] | None
    many: type[Fhir] | None


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
    if shape.many is not None:
        return [repair(value, shape.many, path, lost)]
    return None


def _mend_list(value: list[Any], shape: Shape, path: str, lost: list[str]) -> Any:
    if shape.many is None and not shape.texts:
        return _mend(value[0], shape, path, lost) if len(value) == 1 else None
    each = Shape(shape.texts, False, False, False, shape.many, None)
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
    return [value] if shape.texts else None


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
    texts = many is str
    return Shape(str in options, Decimal in options, bool in options, texts, one, None if texts else many)


SHAPES: Mapping[type[Fhir], Mapping[str, Shape]] = types.MappingProxyType(
    {
        kind: {
            field.encode_name: _shape(field.type)
            for field in msgspec.structs.fields(kind)
            if field.type is not msgspec.Raw
        }
        for kind in vars(resources).values()
        if isinstance(kind, type) and issubclass(kind, Fhir)
    }
)


T = TypeVar("T", bound=Fhir)
P = TypeVar("P")
# Of one Bundle; a body could hold millions of empty or odd entries, but not more than this of real ones.
ENTRIES = 50_000
REPAIRS = 1_000

# Why something was not used; the metrics count by what stands before a colon.
LINKS = "its links cannot be read"
MORE_ENTRIES = f"more than {ENTRIES} entries"
NO_LIST = "its entries are not a list"
MORE_REPAIRS = "more entries do not fit than are repaired"
NO_OBJECT = "not an object"
UNREADABLE, IN_PART = "cannot be read", "read without what does not fit"
NO_RESOURCE, NO_TYPE = "an entry without a resource", "a resource without a resourceType"
REASONS = frozenset([LINKS, MORE_ENTRIES, NO_LIST, MORE_REPAIRS, NO_OBJECT, UNREADABLE, IN_PART, NO_RESOURCE, NO_TYPE])


class UnreadableError(ValueError):
    """The bytes are not JSON."""


class NestedTooDeepError(UnreadableError, RecursionError):
    """The JSON is nested deeper than can be decoded: 400 where a client sent it. Also what a decoder would raise."""


class Decoded(NamedTuple):
    """What was there. A lone resource is one entry; the entries of a Bundle within a Bundle are among the others.

    `kind` is "null", "resource", "bundle" or "other" (JSON, but not FHIR). `damaged` counts the entries that could not
    be read or were empty: something was there that is not among `entries`.
    """

    kind: str
    entries: Sequence[Entry] = ()
    links: Sequence[Link] = ()
    total: Decimal | None = None
    ignored: tuple[Ignored, ...] = ()
    damaged: int = 0


class _Kind(msgspec.Struct, rename="camel", gc=False):
    resource_type: str | None = None


class _LooseBundle(msgspec.Struct, gc=False):
    """A Bundle of which only the outline is trusted."""

    total: msgspec.Raw = msgspec.Raw(b"null")
    link: msgspec.Raw = msgspec.Raw(b"null")
    entry: msgspec.Raw = msgspec.Raw(b"null")
    issues: msgspec.Raw = msgspec.Raw(b"null")


_KIND = msgspec.json.Decoder(_Kind)
_RESOURCE = msgspec.json.Decoder(Resource | None)
_ENTRY = msgspec.json.Decoder(Entry)
_TOTAL = msgspec.json.Decoder(Decimal | None)
_LOOSE = msgspec.json.Decoder(_LooseBundle)
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])


def decode(sent: bytes | msgspec.Raw | Resource | None) -> Decoded:
    """What was sent, decoded already or not. UnreadableError if it is not JSON, NestedTooDeepError if too deep."""
    if sent is None or isinstance(sent, Resource):
        return _decoded(sent)
    try:
        return _decode(sent)
    except RecursionError:
        raise NestedTooDeepError("nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnreadableError("not JSON in UTF-8") from None


def _decode(raw: bytes | msgspec.Raw) -> Decoded:
    try:
        return _decoded(_RESOURCE.decode(raw))
    except msgspec.ValidationError:
        return _decode_odd(raw)


def _decoded(resource: Resource | None) -> Decoded:
    """What fits: null, a Bundle, a lone resource, or an object that is no FHIR."""
    if resource is None:
        return Decoded("null")
    if resource.resource_type == "Bundle":
        return _opened(_entries_of(resource), listed(resource.link), _total(resource.total), _Notes())
    return Decoded("resource", (Entry(resource=resource),)) if resource.resource_type else Decoded("other")


def _decode_odd(raw: bytes | msgspec.Raw) -> Decoded:
    """What does not fit: a Bundle, a lone resource, or no FHIR at all."""
    try:
        kind = _KIND.decode(raw).resource_type
    except msgspec.ValidationError:
        return Decoded("other")
    if kind == "Bundle":
        return _decode_loose_bundle(raw)
    return _decode_odd_resource(raw) if kind else Decoded("other")


def _decode_odd_resource(raw: bytes | msgspec.Raw) -> Decoded:
    notes = _Notes()
    resource = _repaired(raw, Resource, notes)
    if resource is None:
        return Decoded("resource", ignored=tuple(notes.ignored), damaged=1)
    return Decoded("resource", (Entry(resource=resource),), ignored=tuple(notes.ignored))


def _decode_loose_bundle(raw: bytes | msgspec.Raw) -> Decoded:
    """A Bundle entry by entry."""
    outline = _LOOSE.decode(raw)
    notes = _Notes()
    entries = []
    parts = _cut(_parts(outline.entry, notes), notes)
    if outline.issues != msgspec.Raw(b"null"):
        parts.append(msgspec.Raw(b'{"resource":%b}' % bytes(outline.issues)))
    for part in parts:
        entry: Entry | None
        try:
            entry = _ENTRY.decode(part)
        except msgspec.ValidationError:
            entry = _repaired(part, Entry, notes)
        if entry is None:
            notes.damaged += 1
        else:
            entries.append(entry)
    lost: list[str] = []
    bundle = msgspec.convert(repair({"link": _plain(outline.link)}, Resource, "", lost), Resource)
    if lost:  # it may have been the link to a further page
        notes.damage(Ignored("Bundle", LINKS))
    return _opened(entries, listed(bundle.link), _total(outline.total), notes)


def _total(raw: msgspec.Raw) -> Decimal | None:
    """How many matches the server counted, if it says a number."""
    try:
        total: Decimal | None = _TOTAL.decode(raw)
        return total
    except msgspec.ValidationError:
        return None


class _Notes:
    """What had to be ignored of one Bundle, each thing once, and how many entries that cost."""

    def __init__(self) -> None:
        self.ignored: dict[Ignored, None] = {}
        self.damaged = 0
        self.repairs_left = REPAIRS

    def damage(self, ignored: Ignored) -> None:
        self.ignored[ignored] = None
        self.damaged += 1


def _cut(parts: list[P], notes: _Notes) -> list[P]:
    """As many as are read; the rest is damage."""
    if len(parts) > ENTRIES:
        notes.damage(Ignored("Bundle", MORE_ENTRIES))
    return parts[:ENTRIES]


def _parts(raw: msgspec.Raw, notes: _Notes) -> list[msgspec.Raw]:
    first = bytes(memoryview(raw)[:1])
    if first == b"[":
        return _PARTS.decode(raw)
    if first not in (b"{", b"n"):
        notes.damage(Ignored("Bundle", NO_LIST))
    return [raw] if first == b"{" else []


def _plain(raw: bytes | msgspec.Raw) -> Any:
    """Whatever it is, as plain objects; numbers of any length are Decimal (None if they are beyond that)."""
    return json.loads(bytes(raw), parse_float=number, parse_int=number)


def _repaired(raw: bytes | msgspec.Raw, kind: type[T], notes: _Notes) -> T | None:
    """What is in `raw` as `kind`, or None where it cannot be read. What was left out is reported either way."""
    notes.repairs_left -= 1
    if notes.repairs_left < 0:
        notes.ignored[Ignored("Bundle", MORE_REPAIRS)] = None
        return None
    plain = _plain(raw)
    if not isinstance(plain, dict):
        notes.ignored[Ignored("", NO_OBJECT)] = None
        return None
    lost: list[str] = []
    fixed = repair(plain, kind, "", lost)
    fields = ", ".join(dict.fromkeys(lost))
    reference = _reference(plain["resource"] if isinstance(plain.get("resource"), dict) else plain)
    if changes_meaning(lost):
        notes.ignored[Ignored(reference, f"{UNREADABLE}: {fields}")] = None
        return None
    if lost:
        notes.ignored[Ignored(reference, f"{IN_PART}: {fields}")] = None
    return msgspec.convert(fixed, kind)


def _reference(plain: dict[str, Any]) -> str:
    kind, name = plain.get("resourceType"), plain.get("id")
    if not isinstance(kind, str) or not kind.isalnum() or len(kind) > 64:
        return ""
    return f"{kind}/{name}" if isinstance(name, str | Decimal) and name != "" else kind


def _entries_of(bundle: Resource) -> list[Entry]:
    """Its entries. What an R5 server says of the whole beside them is one more, as it is of an R4 server."""
    found = listed(bundle.entry)
    return found if bundle.issues is None else [*found, Entry(resource=bundle.issues)]


def _opened(entries: list[Entry], links: list[Link], total: Decimal | None, notes: _Notes) -> Decoded:
    """The entries with those of inner Bundles in their place; an entry that holds no resource is damage."""
    entries = _cut(entries, notes)
    kept = [each for each in entries if each.resource and (each.resource.resource_type or "Bundle") != "Bundle"]
    if len(kept) < len(entries):
        kept, links, pending = [], [*links], entries[::-1]
        while pending:
            entry = pending.pop()
            resource = entry.resource
            if resource is None:
                notes.damage(Ignored("", NO_RESOURCE))
            elif not resource.resource_type:
                notes.damage(Ignored("", NO_TYPE))
            elif resource.resource_type == "Bundle":
                links.extend(listed(resource.link))
                pending.extend(reversed(_entries_of(resource)))
            else:
                kept.append(entry)
    return Decoded("bundle", tuple(kept), tuple(links), total, tuple(notes.ignored), notes.damaged)
