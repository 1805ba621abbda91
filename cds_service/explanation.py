"""A saved request answered once more, and everything about an answer as plain values.

For `b12-cds explain --json`, for whoever asks why on a page, and for the trial of a site's folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as time_of_day
from typing import Any

from .cdshooks.client_config import ClientConfig
from .cdshooks.requests import HookRequest, read_request
from .clinical.laboratory import why_not
from .clinical.record import Unmapped
from .content.content import Content
from .content.files import VALUE_SETS, written_line
from .evaluate import CallTime, Evaluation, Memory, evaluate
from .examples.vignette_fhir import request_bytes
from .examples.vignettes import Recollection, Vignette
from .fetching import Fetch
from .fhir import reasons

Json = dict[str, Any]
LONGEST_DISPLAY, LONGEST_UNIT = 100, 40
UNKNOWN_UNIT = "unit-unknown"
SECONDS = 30.0  # for all fetches of one saved request: nobody waits for it as for a chart


@dataclass(frozen=True, slots=True)
class Saved:
    """A request from a file, and what the file itself says about the day, the pathway, and what is remembered of its
    reader (a vignette does)."""

    request: HookRequest
    as_of: date | None = None
    pathway: str = ""
    history: Memory | None = None


def saved_vignette(vignette: Vignette, content: Content) -> Saved:
    """The call about a vignette's patient."""
    request = read_request(request_bytes(vignette, content), vignette.hook)
    remembered = Recollection(vignette)
    return Saved(request, vignette.as_of, vignette.pathway, remembered or None)


def answer_saved(
    request: HookRequest, client: ClientConfig, day: date, fetch: Fetch | None = None, history: Memory | None = None
) -> Evaluation:
    """The answer that this client would get on that day, at noon; without `history` as to somebody of whom nothing is
    remembered."""
    clock = CallTime(datetime.combine(day, time_of_day(12), client.zone), seconds=SECONDS)
    return evaluate(request, client, clock, fetch, history)


def explanation(found: Evaluation, service: ClientConfig, day: date) -> Json:
    """Everything about an answer, under the names that `b12-cds explain --json` prints."""
    return {
        "pathway": service.pathway.id,
        "contentVersion": service.content.version,
        "asOf": day.isoformat(),
        "label": found.decision.label,
        "course": found.decision.course,
        "due": due.isoformat() if (due := found.assessment.case.course.due) else None,
        "rows": list(found.decision.rows),
        "notes": list(dict.fromkeys(p.note for each in found.decision.advice for p in each.paragraphs if p.note)),
        "sentences": [
            {"from": each.origin, "text": each.text}
            for advice in found.decision.advice
            for each in advice.paragraphs
            if each.origin
        ],
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
        "ignored": not_used(found),
        "unavailable": [key for key in service.templates if key in found.record.unavailable],
        "suppressed": [{"what": each.what, "why": each.why, "on": each.on.isoformat()} for each in found.suppressed],
        "cards": found.cards,
    }


def not_used(found: Evaluation) -> list[Json]:
    """What was ignored and why; for a result that is not mapped, the line by which a site maps it; results that were
    read and could not be judged."""
    case, record = found.assessment.case, found.record
    unmapped = {each.reference for each in record.unmapped}
    unused = [(each.reference, each.reason) for each in record.ignored
            if not (each.reference in unmapped and each.reason == reasons.WORDS_ONLY)]  # fmt: skip
    unused += [(each.reference, how_to_map(each, case.pathway.displays)) for each in record.unmapped]
    named = {reference for reference, _ in unused}
    for lab in record.labs:
        if lab != case.b12 and lab.reference not in named and (why := why_not(case, lab)):
            sent = f" ({unit!r} was sent)" if why == UNKNOWN_UNIT and (unit := unit_sent(found, lab.reference)) else ""
            unused.append((lab.reference, f"{case.reported(lab)}: {case.pathway.messages[f'doubt.{why}']}{sent}"))
    return [{"reference": reference, "reason": reason} for reference, reason in sorted(unused)]


def unit_sent(found: Evaluation, reference: str) -> str:
    """The unit of a result as it was sent, for the operator; "" where it is not at hand."""
    resource = found.gathered.find(reference)
    quantity = resource.value_quantity if resource is not None else None
    text = (quantity.unit or quantity.code or "") if quantity is not None else ""
    return "".join(sign for sign in text[:LONGEST_UNIT] if sign.isprintable())


def how_to_map(each: Unmapped, displays: Mapping[str, str]) -> str:
    """The line for the site's folder. What it repeats of the record is for the operator, without unseen signs."""
    test = displays[each.analyte]
    if not each.system:
        return f"not mapped: it looks like {test}, but its code has no system, so that no line can name it"
    line = written_line(each.system, each.code, each.display[:LONGEST_DISPLAY], each.use, "site")
    file = f"{VALUE_SETS}/lab-{each.analyte}.csv"
    return f'not mapped: add "{line}" to {file} if it is {test} in serum or plasma'
