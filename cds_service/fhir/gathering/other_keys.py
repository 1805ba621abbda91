"""Data counts by what it is, whatever key it came under: a hospital may type in other names (items 26 and 47a)."""

from __future__ import annotations

from collections.abc import Mapping

from ..resources import Resource, listed
from . import templates
from .key_readings import PATIENT, KeyReading
from .key_states import DATA, INCOMPLETE, KeyState


def state_by_other_keys(key: str, readings: Mapping[str, KeyReading]) -> KeyState:
    """The state of a key that was not had, in the light of what came under others.

    A key of the client's own name, or a known key that holds nothing of its own kind, is taken for this key under
    another name. What merely strayed into another key's answer is a part: that key asked for something else.
    """
    reading = readings[key]
    others = [other for other in readings.values() if other is not reading]
    kind, codes = templates.resource_type(reading.template), templates.codes(reading.template)
    found = [(other, count) for other in others if (count := _count(other, kind, codes))]
    if not found or key == PATIENT:
        return reading.state()
    count = sum(count for _, count in found)
    if any(_has_another_name(other) and other.judged(template="")[0] == DATA for other, _ in found):
        return KeyState(key, DATA, "", count)
    return KeyState(key, INCOMPLETE, "only a part came, under another key", count)


def _has_another_name(reading: KeyReading) -> bool:
    kind = templates.resource_type(reading.template)
    return not reading.template or all(resource.resource_type != kind for resource in reading.own)


def _count(reading: KeyReading, kind: str, codes: frozenset[str]) -> int:
    """How many resources of a reading are of this kind and, if there are any, of these codes."""
    of_kind = [resource for resource in reading.own if resource.resource_type == kind]
    return len([resource for resource in of_kind if not codes or codes & _codes(resource)])


def _codes(resource: Resource) -> set[str | None]:
    """The codes of a result and of its components."""
    concepts = [each.code for each in (resource, *listed(resource.component))]
    flat = [concept for each in concepts for concept in listed(each) if not isinstance(concept, str)]
    return {coding.code for concept in flat for coding in listed(concept.coding)}
