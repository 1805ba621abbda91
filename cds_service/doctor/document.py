"""The examination as one JSON document: the same facts as the printed report, under stable names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..content.content import Content
from ..fhir.reading.labs import OUTCOMES
from .cleaning import Privacy, shown
from .examine import Examination
from .labs import Code, Seen, families_of
from .overlay import Unmapped
from .timing import Timing
from .trials import Trial
from .unit_lines import UNIT_DOUBTS

Json = dict[str, Any]
OTHERS = 200  # codes of what is none of ours that are listed


def document(found: Examination, content: Content) -> Json:
    """Everything, without an id of a patient."""
    privacy = found.survey.privacy
    return {
        "contentVersion": content.version,
        "server": {"software": found.capability.software, "fhirVersion": found.capability.fhir_version},
        "works": found.verdict.works,
        "prefetch": found.verdict.prefetch,
        "verdict": list(found.verdict.sentences),
        "clean": found.overlay.clean,
        "patients": len(found.sample.ids),
        "unsupportedTypes": unsupported_types(found.trials),
        "sets": {name: {"works": fit.works, "keys": list(content.prefetch[name])} for name, fit in found.fits.items()},
        "templates": [of_trial(trial, content) for trial in found.trials.values()],
        "parameters": [
            {"type": each.kind, "parameter": each.parameter, "effect": each.effect, "how": each.how}
            for each in found.effects
        ],
        "categories": [
            {"type": each.kind, "category": each.category, "found": each.found, "note": each.note}
            for each in found.categories
        ],
        "calls": [of_timing(timing) for timing in found.timings],
        "asked": [
            {"what": each.what, "over": each.over, "found": each.found, "failure": each.failure, "cut": each.cut}
            for each in found.survey.asked
        ],
        "analytes": of_analytes(found, content, privacy),
        "medicines": of_medicines(found, content, privacy),
        "unmapped": [of_unmapped(each) for each in found.overlay.unmapped],
        "overlay": found.overlay.files,
        "questions": found.overlay.questions,
        "remarks": found.remarks,
        "otherCodes": other_codes(found, privacy),
    }


def unsupported_types(trials: Mapping[str, Trial]) -> list[str]:
    """The resource types that the server does not have."""
    return list(dict.fromkeys(trial.kind for trial in trials.values() if trial.unsupported))


def of_trial(trial: Trial, content: Content) -> Json:
    return {
        "key": trial.key,
        "type": trial.kind,
        "sets": [name for name, keys in content.prefetch.items() if trial.key in keys],
        "answered": trial.answered,
        "states": dict(trial.states),
        "reason": trial.reason,
        "found": trial.found,
        "slowestMs": milliseconds(trial.slowest),
        "listed": not trial.unlisted,
        "parametersNotListed": sorted(trial.unnamed),
        "withoutPatient": trial.without_patient,
    }


def of_timing(timing: Timing) -> Json:
    return {
        "prefetch": timing.prefetch,
        "allowedMs": milliseconds(timing.allowed),
        "calls": timing.calls,
        "medianMs": milliseconds(timing.median),
        "slowestMs": milliseconds(timing.slowest),
        "statuses": {str(status): times for status, times in sorted(timing.statuses.items())},
        "whole": timing.whole,
        "notHad": dict(timing.given_up.most_common()),
    }


def of_analytes(found: Examination, content: Content, privacy: Privacy) -> list[Json]:
    """Each analyte, those that were not found too: that is what a person looks for."""
    rows = []
    for name in content.analytes:
        seen = found.survey.labs.mapped.get(name, Counter())
        rows.append(
            {
                "id": name,
                "display": content.displays[name],
                "results": sum(seen.values()),
                "codes": [of_code(code, times, privacy) for code, times in by_code(seen).most_common()],
                "units": of_units(name, seen, privacy),
                "families": sorted(families_of(seen)),
                "notMapped": sum(found.survey.labs.suspected.get(name, Counter()).values()),
                "withoutCode": found.survey.labs.uncoded[name],
            }
        )
    return rows


def of_medicines(found: Examination, content: Content, privacy: Privacy) -> list[Json]:
    """Each ingredient that was found."""
    tally = found.survey.medicines
    names = dict.fromkeys([*tally.by_code, *tally.by_words, *tally.uncoded])
    return [
        {
            "id": name,
            "display": content.displays[name],
            "byCode": sum(tally.by_code.get(name, Counter()).values()),
            "byWords": sum(tally.by_words.get(name, Counter()).values()) + tally.uncoded[name],
            "codes": [of_code(*each, privacy) for each in tally.by_code.get(name, Counter()).most_common()],
        }
        for name in names
    ]


def by_code(seen: Mapping[Seen, int]) -> Counter[Code]:
    """The counts by code alone, whatever name stands beside it."""
    found: Counter[Code] = Counter()
    displays: dict[tuple[str, str], Code] = {}
    for each, times in seen.items():
        found[displays.setdefault(each.code[:2], each.code)] += times
    return found


def of_units(analyte: str, seen: Mapping[Seen, int], privacy: Privacy) -> list[Json]:
    """Each text of a unit, how often, and whether it is accepted. A test that is positive or negative needs none."""
    counts: Counter[tuple[str, str]] = Counter()
    for each, times in seen.items():
        counts[each.unit, "" if analyte in OUTCOMES else each.doubt] += times
    return [
        {"unit": privacy.show(unit), "count": times, "accepted": doubt not in UNIT_DOUBTS, "doubt": doubt}
        for (unit, doubt), times in counts.most_common()
    ]


def of_code(code: Code, times: int, privacy: Privacy) -> Json:
    return {
        "system": privacy.show(code.system),
        "code": shown(code.code),
        "display": privacy.show(code.display),
        "count": times,
    }


def of_unmapped(each: Unmapped) -> Json:
    return {
        "concept": each.concept,
        "system": each.system,
        "code": each.code,
        "display": each.display,
        "units": dict(each.units),
        "count": each.count,
        "line": each.line,
        "whyNot": each.why_not,
    }


def other_codes(found: Examination, privacy: Privacy) -> list[Json]:
    """Local codes of results that are none of ours as far as their name says: worth a look by one who knows them."""
    counts = [(code, unit, times) for (code, unit), times in found.survey.labs.others.items() if not code.known_system]
    counts.sort(key=lambda each: (-each[2], each[0], each[1]))
    return [{**of_code(code, times, privacy), "unit": privacy.show(unit)} for code, unit, times in counts[:OTHERS]]


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def lines_of(files: Mapping[str, Iterable[str]]) -> int:
    """How many lines there are to paste."""
    return sum(len(list(lines)) for lines in files.values())
