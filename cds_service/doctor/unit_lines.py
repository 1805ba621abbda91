"""Units that are not accepted: lines for the site's `analytes.toml`, or questions to the laboratory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from ..clinical.tables import Analyte
from ..clinical.units import normalise_unit
from ..fhir.reading.labs import OUTCOMES
from .cleaning import Privacy, shown
from .labs import LabTally, Seen
from .overlay import UNKNOWN, Identity, identity_of
from .units import alike

CONFLICT, MISSING = "unit-conflict", "no-unit"
UNIT_DOUBTS = (UNKNOWN, CONFLICT, MISSING)


@dataclass(slots=True)
class UnitFaults:
    """What was wrong with the units of one analyte: text -> how often."""

    unknown: Counter[str] = field(default_factory=Counter)
    conflict: Counter[str] = field(default_factory=Counter)
    missing: int = 0


def unit_faults(labs: LabTally, doubtful: Container[Identity]) -> dict[str, UnitFaults]:
    """By analyte, of the codes that are mapped and of those that may be soon; not of the doubtful ones."""
    found: dict[str, UnitFaults] = {}
    for tally in (labs.mapped, labs.suspected):
        for analyte, counter in tally.items():
            faults = found.setdefault(analyte, UnitFaults())
            for seen, times in counter.items():
                if tally is labs.mapped or identity_of(seen.code) not in doubtful:
                    note(faults, seen, times, analyte)
    return found


def note(faults: UnitFaults, seen: Seen, times: int, analyte: str) -> None:
    if seen.doubt == UNKNOWN and analyte not in OUTCOMES:
        for text in filter(None, (seen.unit, seen.unit_code)):
            faults.unknown[text] += times
    elif seen.doubt == CONFLICT:
        faults.conflict[f"{shown(seen.unit)} beside {shown(seen.unit_code)}"] += times
    elif seen.doubt == MISSING and analyte not in OUTCOMES:
        faults.missing += times


def unit_lines(faults: Mapping[str, UnitFaults], analytes: Mapping[str, Analyte], privacy: Privacy) -> list[str]:
    """Entries for analytes.toml: the further texts by which the site writes a unit that we have."""
    lines: list[str] = []
    for name, found in faults.items():
        analyte = analytes[name]
        texts: dict[str, set[str]] = {}
        for text in found.unknown:
            unit = alike(text, analyte)
            if unit is not None and can_be_written(text, privacy):
                texts.setdefault(unit.spelling, set()).add(normalise_unit(text))
        for spelling, new in texts.items():
            lines += entry(name, spelling, sorted(new))
    return lines


def unit_questions(faults: Mapping[str, UnitFaults], analytes: Mapping[str, Analyte], privacy: Privacy) -> list[str]:
    """Units that are like none of ours. A factor is the laboratory's to state."""
    questions = []
    for name, found in faults.items():
        analyte = analytes[name]
        known = ", ".join(dict.fromkeys(unit.spelling for unit in analyte.units.values()))
        for text, times in found.unknown.most_common():
            if alike(text, analyte) is None or not can_be_written(text, privacy):
                questions.append(
                    f"The unit {privacy.show(text)!r} of {analyte.display} ({times} results) is none that we know, so "
                    f"each of them is in doubt. Which of {known} is it, or is it another test?"
                )
    return questions


def unit_remarks(faults: Mapping[str, UnitFaults], analytes: Mapping[str, Analyte], privacy: Privacy) -> list[str]:
    """What no overlay can mend."""
    remarks = []
    for name, found in faults.items():
        display = analytes[name].display
        if found.missing:
            remarks.append(f"{display}: {found.missing} results without a unit; each of them is in doubt.")
        for text, times in found.conflict.most_common():
            told = privacy.show(text)
            remarks.append(f"{display}: {times} results whose unit and its code contradict each other ({told}).")
    return remarks


def can_be_written(text: str, privacy: Privacy) -> bool:
    """Would the text that a person pastes still be the text that is sent?"""
    return normalise_unit(shown(text)) == normalise_unit(text) and not privacy.hides(text)


def entry(analyte: str, spelling: str, accepts: Iterable[str]) -> list[str]:
    """One unit of an analyte with further texts: a site adds to ours."""
    texts = ", ".join(quoted(text) for text in accepts)
    return [f"[[{analyte}.unit]]", f"spelling = {quoted(spelling)}", f"accepts = [{texts}]"]


def quoted(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False)
