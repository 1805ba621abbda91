"""The law: damage one element the way real systems do, and nothing falls silent.

Of a request whose answer holds a warning or a critical card, the damaged one is answered by that card, or by 412, or by
a card that names what was lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cache, partial
from typing import Any

from cds_service.cdshooks.client_config import ClientConfig
from cds_service.cdshooks.requests import BadRequest, read_request
from cds_service.evaluate import CallTime, Evaluation, evaluate
from cds_service.examples.vignette_fhir import ENCODER, hook_request
from cds_service.examples.vignettes import Vignette, overlay_folder
from cds_service.fetching import FetchFailed
from cds_service.fhir.fetch import LATE
from tests import golden
from tests.book import PATHWAYS, book, service

A_DAY = 86_400.0  # seconds; nothing ends earlier
SERIOUS = ("warning", "critical")
NAMED = re.compile(
    r"not judged|not available|could not be (?:read|judged)|cannot be (?:interpreted|judged|compared)"
    r"|undated|is not recorded:",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Case:
    """A call that gets a serious card: who answers it, and when."""

    name: str
    call: dict[str, Any]
    client: ClientConfig
    now: datetime

    def answered(self, call: dict[str, Any]) -> Evaluation | None:
        """The answer; None for a call that is refused as no request (400)."""
        try:
            request = read_request(json.dumps(call).encode(), call["hook"])
        except BadRequest:
            return None
        fetch = unanswered if request.fhir_base else None
        return evaluate(request, self.client, CallTime(self.now, seconds=A_DAY), fetch=fetch)


def unanswered(address: str, deadline: float) -> bytes:
    """A FHIR server that does not answer in time."""
    raise FetchFailed(LATE)


def serious(found: Evaluation) -> set[str]:
    """The rows whose cards are serious."""
    return {each.row for each in found.shown if each.indicator in SERIOUS}


def kept(before: Evaluation, after: Evaluation | None) -> bool:
    """Does the law hold between the two?"""
    if after is None or after.status == 412:
        return True
    if serious(before) <= {each.row for each in after.shown}:
        return True
    return any(NAMED.search(f"{card['summary']} {card.get('detail', '')}") for card in after.cards)


Making = Callable[[], Case]


@cache
def cases() -> dict[str, Making]:
    """By its name every golden request, and every vignette that remembers nothing: what makes it, when it is tried."""
    of_golden = {
        f"golden {name}": partial(from_golden, name) for name in golden.names() if golden.Pair(name).request.exists()
    }
    vignettes = [
        each
        for pathway in PATHWAYS
        for each in book(pathway)
        if not each.name.startswith("r-")  # what it remembers would be forgotten
    ]
    return of_golden | {f"{each.pathway} {each.name}": partial(from_vignette, each) for each in vignettes}


def from_golden(name: str) -> Case:
    pair = golden.Pair(name)
    return Case(f"golden {name}", json.loads(pair.request.read_bytes()), service(PATHWAYS[0]), pair.now)


def from_vignette(vignette: Vignette) -> Case:
    client = service(vignette.pathway, overlay_folder(vignette))
    call = json.loads(ENCODER.encode(hook_request(vignette, client.content)))
    return Case(f"{vignette.pathway} {vignette.name}", call, client, datetime.combine(vignette.as_of, time(12), UTC))
