"""A clinician's own draft with another medicine and dosage: the JSON that was received is patched, never rebuilt."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any

import msgspec

Json = dict[str, Any]

REQUIRED = ("resourceType", "status", "intent", "subject")  # what a draft lacks of these comes from ours
# The narrative retells the medicine and the dosage that are replaced, so it would contradict the new ones.
REPLACED = ("medicationCodeableConcept", "medicationReference", "dosageInstruction", "text")


class _Bundle(msgspec.Struct, rename="camel", gc=False):
    """A Bundle, or a resource by itself, as far as one must look to find a draft."""

    resource_type: str | None = None
    id: str | None = None
    entry: msgspec.Raw = msgspec.Raw(b"null")


class _Entry(msgspec.Struct, gc=False):
    resource: msgspec.Raw = msgspec.Raw(b"null")


_BUNDLE = msgspec.json.Decoder(_Bundle)
_ENTRY = msgspec.json.Decoder(_Entry)
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_EXACT = msgspec.json.Decoder(Json, float_hook=Decimal)


def received(raw: bytes | msgspec.Raw, references: Collection[str]) -> dict[str, Json]:
    """The drafts of these references ("MedicationRequest/1") as the client sent them, as far as they can be found."""
    found: dict[str, Json] = {}
    for resource in resources_in(raw) if references else ():
        try:
            outline = _BUNDLE.decode(resource)
            name = f"{outline.resource_type}/{outline.id}"
            if name in references and name not in found:
                found[name] = _EXACT.decode(resource)
        except msgspec.DecodeError:
            continue
    return found


def resources_in(raw: bytes | msgspec.Raw) -> Iterator[msgspec.Raw]:
    """Every resource of a Bundle and of the Bundles in it; or the lone resource."""
    try:
        outline = _BUNDLE.decode(raw)
    except msgspec.DecodeError:
        return
    if outline.resource_type != "Bundle":
        yield msgspec.Raw(bytes(raw))
        return
    is_list = bytes(memoryview(outline.entry)[:1]) == b"["
    for part in _PARTS.decode(outline.entry) if is_list else [outline.entry]:
        try:
            inner = _ENTRY.decode(part).resource
        except msgspec.DecodeError:
            continue
        yield from resources_in(inner)


def patched(draft: Json, ours: Json) -> Json:
    """The draft with the medicine and the dosage of ours; everything else stays as it came."""
    reference = draft.get("medicationReference")
    inner = reference.get("reference") if isinstance(reference, dict) else None
    kept = {name: value for name, value in full(draft).items() if name.lstrip("_") not in REPLACED}
    if isinstance(inner, str) and inner.startswith("#") and isinstance(kept.get("contained"), list):
        others = [each for each in kept["contained"] if not (isinstance(each, dict) and each.get("id") == inner[1:])]
        kept = {**kept, "contained": others} if others else {k: v for k, v in kept.items() if k != "contained"}
    required = {name: ours[name] for name in REQUIRED}
    return required | kept | {name: ours[name] for name in REPLACED if name in ours}


def full(value: Any) -> Any:
    """Without what is null or empty: an answer holds none of that (items 3 and 4)."""
    if isinstance(value, dict):
        parts = {name: full(part) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part not in (None, "", [], {})}
    if isinstance(value, list):
        return [part for part in map(full, value) if part not in (None, "", [], {})]
    return value
