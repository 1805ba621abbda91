"""Generated patients: parts of the shipped vignettes, which lie on either side of each limit, put together anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import cache

from tests.api import Vignette, shipped_vignettes

PARTS = ("lab", "problem", "medicine", "allergy", "order")
CHART, ORDERS = ("patient-view",), ("order-select", "order-sign")
LOST = ("unavailable", "incomplete")
SEED = 20260315


def plain_vignettes(pathway: str, hooks: tuple[str, ...]) -> list[Vignette]:
    """The vignettes of a pathway for these hooks, without a site's folder."""
    return [each for each in shipped(pathway) if each.hook in hooks and not each.overlay]


@cache
def shipped(pathway: str) -> tuple[Vignette, ...]:
    return tuple(shipped_vignettes(pathway).values())


def generated(pathway: str, count: int, hooks: tuple[str, ...] = CHART) -> Iterator[Vignette]:
    """So many patients, always the same. The orders that are asked about are those of one vignette."""
    chance = random.Random(f"{SEED} {pathway}{'' if hooks == CHART else hooks}")
    vignettes = plain_vignettes(pathway, hooks)
    for number in range(count):
        yield mixed(chance, vignettes, number)


def mixed(chance: random.Random, vignettes: list[Vignette], number: int) -> Vignette:
    """One patient of one to three vignettes: most of the parts of the first, some of the others', some moved."""
    first, *others = chance.sample(vignettes, chance.choice((1, 2, 2, 3)))
    fields = {key: value for key, value in first.fields.items() if key not in (*PARTS, *LOST)}
    for name in LOST:
        if name in first.fields and chance.random() < 0.5:
            fields[name] = first.fields[name]
    for part in PARTS:
        entries = [each for each in first.fields.get(part, ()) if chance.random() < 0.85]
        for other in others:
            entries += [each for each in other.fields.get(part, ()) if chance.random() < 0.5]
        fields[part] = [moved(chance, each) for each in entries]
    return replace(first, name=f"generated-{number}", fields=fields, expect={})


def moved(chance: random.Random, entry: dict[str, object]) -> dict[str, object]:
    """The entry without its id; now and then on another day, or with another number."""
    found = {key: value for key, value in entry.items() if key != "id"}
    if "days_ago" in found and chance.random() < 0.2:
        found["days_ago"] = chance.choice((0, 1, 6, 29, 90, 91, 120, 365, 366, 800))
    if "value" in found and chance.random() < 0.2:
        found["value"] = (Decimal(str(found["value"])) * chance.choice((Decimal("0.5"), Decimal("1.5"), 2))).normalize()
        found["value"] = Decimal(format(found["value"], "f"))
    return found
