"""Explain: one saved request through the same pipeline, and everything that led to its answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

from .fetching import Fetch
from .hooks.messages import BadRequest, HookRequest, read_request
from .knowledge.content import Content
from .pipeline import Answer, Service, answer
from .vignette_fhir import request_bytes
from .vignettes import VignetteError, read_vignette

Json = dict[str, Any]
SECONDS = 30.0  # for all fetches of one explanation: nobody waits for it as for a chart


class CannotExplain(Exception):
    """The file is no request that can be explained. Its text is one line."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A request from a file, and what the file itself says about the day and the pathway (a vignette does)."""

    request: HookRequest
    as_of: date | None = None
    pathway: str = ""


def read_saved(path: Path, content: Content) -> Saved:
    """A hook request as JSON, or a vignette's TOML."""
    try:
        if path.suffix == ".toml":
            vignette = read_vignette(path)
            request = read_request(request_bytes(vignette, content), "patient-view")
            return Saved(request, vignette.as_of, vignette.pathway)
        return Saved(read_request(path.read_bytes(), "patient-view"))
    except OSError as error:
        raise CannotExplain(f"{path}: {error.strerror}") from None
    except BadRequest as error:
        raise CannotExplain(f"{path}: {'; '.join(fault.text for fault in error.faults)}") from None
    except (VignetteError, ValueError, KeyError) as error:  # TOML that is no TOML, or tells of nothing we know
        raise CannotExplain(f"{path}: {' '.join(str(error).split())}") from None


def explain(request: HookRequest, service: Service, fetch: Fetch | None, day: date, zone: tzinfo) -> Answer:
    """The answer that the service would give on that day, at noon."""
    moment = datetime.combine(day, time_of_day(12), zone)
    latest = time.monotonic() + SECONDS
    return answer(request, service, fetch, moment, latest, latest)


def explanation(found: Answer, service: Service, day: date) -> Json:
    """Everything about an answer, under the names that `b12-cds explain --json` prints."""
    return {
        "pathway": service.pathway.id,
        "contentVersion": service.content.version,
        "asOf": day.isoformat(),
        "label": found.decision.label,
        "rows": list(found.decision.rows),
        "findings": [
            {
                "name": finding.name,
                "because": [
                    {"reference": each.reference, "text": each.text}
                    for each in finding.because
                    if each.reference or each.text
                ],
            }
            for finding in found.decision.findings.values()
        ],
        "ignored": [{"reference": each.reference, "reason": each.reason} for each in found.record.ignored],
        "unavailable": [key for key in service.templates if key in found.record.unavailable],
        "cards": found.cards,
    }
