"""Decodes what came under one prefetch key, or as one answer of a FHIR server: nothing, one resource, or a Bundle.

A Bundle is decoded whole, in one pass. Only when something in it does not fit is it taken entry by entry, so that one
odd resource costs itself and not its neighbours. Numbers keep their digits: 150.10 stays 150.10.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from cds_service.clinical.record import Ignored

from .repair import changes_meaning, number, repair
from .resources import Bundle, Entry, Fhir, Link, Resource, listed


class UnreadableError(ValueError):
    """The bytes are not JSON."""


class NestedTooDeepError(UnreadableError):
    """The JSON is nested deeper than can be decoded: 400 where a client sent it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was there. A lone resource is one entry; the entries of a Bundle within a Bundle are among the others.

    `kind` is "null", "resource", "bundle" or "other" (JSON, but not FHIR). `damaged` counts the entries that could not
    be read or were empty: something was there that is not among `entries`.
    """

    kind: str
    entries: tuple[Entry, ...] = ()
    links: tuple[Link, ...] = ()
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


_BUNDLE = msgspec.json.Decoder(Bundle | None)
_KIND = msgspec.json.Decoder(_Kind)
_RESOURCE = msgspec.json.Decoder(Resource)
_ENTRY = msgspec.json.Decoder(Entry)
_LOOSE = msgspec.json.Decoder(_LooseBundle)
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])


def decode(raw: bytes | msgspec.Raw) -> Decoded:
    """What is in `raw`. Raises UnreadableError if it is not JSON, NestedTooDeepError if it is too deep."""
    try:
        return _decode(raw)
    except RecursionError:
        raise NestedTooDeepError("nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnreadableError("not JSON in UTF-8") from None


def _decode(raw: bytes | msgspec.Raw) -> Decoded:
    try:
        bundle = _BUNDLE.decode(raw)
    except msgspec.ValidationError:
        return _decode_odd(raw)
    if bundle is None:
        return Decoded("null")
    if bundle.resource_type == "Bundle":
        return _opened(listed(bundle.entry), listed(bundle.link), bundle.total, [])
    return _decode_lone(raw) if bundle.resource_type else Decoded("other")


def _decode_odd(raw: bytes | msgspec.Raw) -> Decoded:
    """What does not fit: a lone resource (whose fields are not a Bundle's), an odd Bundle, or no FHIR at all."""
    try:
        kind = _KIND.decode(raw).resource_type
    except msgspec.ValidationError:
        return Decoded("other")
    if kind == "Bundle":
        return _decode_loose_bundle(raw)
    return _decode_lone(raw) if kind else Decoded("other")


def _decode_lone(raw: bytes | msgspec.Raw) -> Decoded:
    ignored: list[Ignored] = []
    try:
        resource: Resource | None = _RESOURCE.decode(raw)
    except msgspec.ValidationError:
        resource = _repaired(_plain(raw), Resource, ignored)
    if resource is None:
        return Decoded("resource", ignored=tuple(ignored), damaged=1)
    return Decoded("resource", (Entry(resource=resource),), ignored=tuple(ignored))


def _decode_loose_bundle(raw: bytes | msgspec.Raw) -> Decoded:
    """A Bundle entry by entry."""
    outline = _LOOSE.decode(raw)
    ignored: list[Ignored] = []
    parts = _parts(outline.entry)
    if parts is None:
        ignored.append(Ignored("Bundle", "its entries are not a list"))
    read = [_entry(part, ignored) for part in parts or []]
    entries = [entry for entry in read if entry is not None]
    frame = _repaired({"link": _plain(outline.link), "total": _plain(outline.total)}, Bundle, ignored)
    links, total = (listed(frame.link), frame.total) if frame is not None else ([], None)
    return _opened(entries, links, total, ignored, len(read) - len(entries) + (parts is None))


def _parts(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    first = bytes(memoryview(raw)[:1])
    if first == b"[":
        return _PARTS.decode(raw)
    return {b"{": [raw], b"n": []}.get(first)


def _plain(raw: bytes | msgspec.Raw) -> Any:
    """Whatever it is, as plain objects; numbers of any length are Decimal (None if they are beyond that)."""
    return json.loads(bytes(raw), parse_float=number, parse_int=number)


def _entry(raw: msgspec.Raw, ignored: list[Ignored]) -> Entry | None:
    try:
        return _ENTRY.decode(raw)
    except msgspec.ValidationError:
        return _repaired(_plain(raw), Entry, ignored)


def _repaired(plain: Any, kind: type[Fhir], ignored: list[Ignored]) -> Any:
    """`plain` as `kind`, or None where it cannot be read. What was left out is reported either way."""
    if not isinstance(plain, dict):
        ignored.append(Ignored("", "not an object"))
        return None
    lost: list[str] = []
    reference = _reference(plain["resource"] if isinstance(plain.get("resource"), dict) else plain)
    fixed = repair(plain, kind, "", lost)
    fields = ", ".join(dict.fromkeys(lost))
    if changes_meaning(lost):
        ignored.append(Ignored(reference, f"cannot be read: {fields}"))
        return None
    if lost:
        ignored.append(Ignored(reference, f"read without what does not fit: {fields}"))
    return msgspec.convert(fixed, kind)


def _reference(plain: dict[str, Any]) -> str:
    kind, name = plain.get("resourceType"), plain.get("id")
    if not isinstance(kind, str) or not kind.isalnum() or len(kind) > 64:
        return ""
    return f"{kind}/{name}" if isinstance(name, str | Decimal) and name != "" else kind


def _opened(
    entries: list[Entry], links: list[Link], total: Decimal | None, ignored: list[Ignored], damaged: int = 0
) -> Decoded:
    """The entries with those of inner Bundles in their place; an entry that holds no resource is damage."""
    usual = [each for each in entries if each.resource and (each.resource.resource_type or "Bundle") != "Bundle"]
    if len(usual) == len(entries):
        return Decoded("bundle", tuple(entries), tuple(links), total, tuple(ignored), damaged)
    kept: list[Entry] = []
    pending = entries[::-1]
    while pending:
        entry = pending.pop()
        resource = entry.resource
        if resource is None or not resource.resource_type:
            ignored.append(Ignored("", "an entry without a resource" if resource is None else "no resourceType"))
            damaged += 1
        elif resource.resource_type == "Bundle":
            links = links + listed(resource.link)
            pending.extend(reversed(listed(resource.entry)))
        else:
            kept.append(entry)
    return Decoded("bundle", tuple(kept), tuple(links), total, tuple(ignored), damaged)
