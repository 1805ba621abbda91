"""Explain: one saved request through the same pipeline, and everything that led to its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

from .app import of_hook
from .clinical.record import PatientRecord, Unmapped
from .fetching import Fetch
from .fhir import reasons
from .hooks.messages import BadRequest, HookRequest, named_hook, read_request
from .knowledge.content import Content
from .knowledge.faults import ContentError
from .knowledge.files import VALUE_SETS, written_line
from .pipeline import Answer, Service, answer
from .vignette_fhir import request_bytes
from .vignettes import Vignette, VignetteError, overlay_folder, read_vignette

Json = dict[str, Any]
LONGEST_DISPLAY = 100
SECONDS = 30.0  # for all fetches of one explanation: nobody waits for it as for a chart


class CannotExplain(Exception):
    """The file is no request that can be explained. Its text is one line."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A request from a file, and what the file itself says about the day and the pathway (a vignette does)."""

    request: HookRequest
    as_of: date | None = None
    pathway: str = ""


def overlay_of(path: Path) -> Path | None:
    """The folder of the example site that a vignette names, which then lies over the content; else None."""
    if path.suffix != ".toml":
        return None
    try:
        return overlay_folder(read_vignette(path))
    except OSError as error:
        raise CannotExplain(f"{path}: {error.strerror}") from None
    except (ContentError, ValueError, KeyError) as error:
        raise CannotExplain(f"{path}: {' '.join(str(error).split())}") from None


def read_saved(path: Path, content: Content) -> Saved:
    """A hook request as JSON, or a vignette's TOML."""
    try:
        if path.suffix == ".toml":
            return saved_vignette(read_vignette(path), content)
        body = path.read_bytes()
        return Saved(read_request(body, named_hook(body, otherwise="patient-view")))
    except OSError as error:
        raise CannotExplain(f"{path}: {error.strerror}") from None
    except BadRequest as error:
        raise CannotExplain(f"{path}: {'; '.join(fault.text for fault in error.faults)}") from None
    except (VignetteError, ValueError, KeyError) as error:  # TOML that is no TOML, or tells of nothing we know
        raise CannotExplain(f"{path}: {' '.join(str(error).split())}") from None


def saved_vignette(vignette: Vignette, content: Content) -> Saved:
    """The call about a vignette's patient."""
    request = read_request(request_bytes(vignette, content), vignette.hook)
    return Saved(request, vignette.as_of, vignette.pathway)


def explain(request: HookRequest, service: Service, fetch: Fetch | None, day: date, zone: tzinfo) -> Answer:
    """The answer that the service would give on that day, at noon."""
    moment = datetime.combine(day, time_of_day(12), zone)
    latest = time.monotonic() + SECONDS
    return answer(request, of_hook(service, request.hook), fetch, moment, latest, latest)


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
        "ignored": not_used(found.record, service.pathway.displays),
        "unavailable": [key for key in service.templates if key in found.record.unavailable],
        "cards": found.cards,
    }


def not_used(record: PatientRecord, displays: Mapping[str, str]) -> list[Json]:
    """What was ignored and why; for a result that is not mapped, the line by which a site maps it."""
    unmapped = {each.reference for each in record.unmapped}
    told = [(each.reference, each.reason) for each in record.ignored
            if not (each.reference in unmapped and each.reason == reasons.WORDS_ONLY)]  # fmt: skip
    told += [(each.reference, how_to_map(each, displays)) for each in record.unmapped]
    return [{"reference": reference, "reason": reason} for reference, reason in sorted(told)]


def how_to_map(each: Unmapped, displays: Mapping[str, str]) -> str:
    """The line for the site's folder. What it repeats of the record is for the operator, without unseen signs."""
    test = displays[each.analyte]
    if not each.system:
        return f"not mapped: it looks like {test}, but its code has no system, so that no line can name it"
    line = written_line(each.system, each.code, each.display[:LONGEST_DISPLAY], each.use, "site")
    file = f"{VALUE_SETS}/lab-{each.analyte}.csv"
    return f'not mapped: add "{line}" to {file} if it is {test} in serum or plasma'
