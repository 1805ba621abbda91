"""Everything about an answer as plain values: for `b12-cds explain --json`, and for whoever asks why on a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from .cdshooks.client_config import ClientConfig
from .clinical.laboratory import why_not
from .clinical.record import Unmapped
from .content.files import VALUE_SETS, written_line
from .evaluate import Evaluation
from .fhir import reasons

Json = dict[str, Any]
LONGEST_DISPLAY, LONGEST_UNIT = 100, 40
UNKNOWN_UNIT = "unit-unknown"


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
