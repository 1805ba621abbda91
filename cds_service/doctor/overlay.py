"""What is not mapped, as lines that a person pastes into the site's folder after the laboratory has confirmed them.

Codes become lines of `value-sets/*.csv`, spellings of units become entries of `analytes.toml`. What cannot be written
so that the service would find it again, and what only the laboratory can know, becomes a question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from ..clinical.tables import Analyte
from ..content.faults import Faults
from ..content.files import HEADER, VALUE_SETS, CodeLine, written_line
from ..content.valuesets import USES, sound_line
from ..fhir.reading.labs import OUTCOMES
from .cleaning import Privacy, is_formula, no_formula, shown
from .labs import Code, LabTally, Seen, families_of
from .medicines import MedicineTally
from .units import alike

UNKNOWN = "unit-unknown"
TWO_TESTS = "its name is that of two different tests"
ODD_UNIT = "no unit that comes with it is one of that test"
Identity = tuple[str, str]  # system and code, as a value set would hold them


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A code that the service does not know although its name is that of one of our tests or medicines."""

    concept: str  # the value set that it may belong to: "lab-b12"
    identity: Identity  # as it was sent
    system: str  # these as they may be shown
    code: str
    display: str
    units: tuple[tuple[str, int], ...]
    count: int
    line: str  # for the value set; "" if it cannot be written
    why_not: str = ""  # why it is not among the lines to paste


@dataclass(slots=True)
class Overlay:
    """`files`: file of the site's folder -> lines to paste. `questions` are for the laboratory."""

    files: dict[str, list[str]] = field(default_factory=dict)
    unmapped: list[Unmapped] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Is there nothing left to paste, and nothing to ask?"""
        return not self.files and not self.questions


class Lines:
    """Writes lines as of one day, without anything that would name a patient."""

    def __init__(self, privacy: Privacy, today: date):
        self._privacy = privacy
        self._source = f"seen by b12-cds doctor {today.isoformat()}"

    def of_labs(self, labs: LabTally, analytes: Mapping[str, Analyte]) -> Iterator[Unmapped]:
        """Every code of a result whose name suggests one of our tests."""
        claims = claimed(labs)
        for analyte, counter in labs.suspected.items():
            for identity, seen in by_identity(counter).items():
                units = units_of(seen)
                why = TWO_TESTS if claims[identity] > 1 else unlike(seen, analytes[analyte])
                yield self._of(f"lab-{analyte}", identity, lab_use(analytes[analyte], seen), names(seen), units, why)

    def of_medicines(self, medicines: MedicineTally) -> Iterator[Unmapped]:
        """Every code of a medicine that is recognised by its name only."""
        for ingredient, codes in medicines.by_words.items():
            for identity, times in together(codes).items():
                use = medicines.uses.get((ingredient, next(iter(times))), "")
                yield self._of(f"medicine-{ingredient}", identity, use, times, Counter(), "")

    def _of(
        self, concept: str, identity: Identity, use: str, codes: Counter[Code], units: Counter[str], why: str
    ) -> Unmapped:
        """One code with its line, and the reason why it is not to be pasted as it is, if there is one."""
        show = self._privacy.show
        bad = cannot_be_written(concept, identity, self._privacy)
        display = shown(no_formula(show(codes.most_common(1)[0][0].display))) or shown(identity[1])
        line = "" if bad else written_line(*identity, display, use, self._source)
        counted = tuple((show(unit), times) for unit, times in units.most_common())
        told = show(identity[0]), shown(identity[1]), display
        return Unmapped(concept, identity, *told, counted, sum(codes.values()), line, why or bad)


def code_lines(
    labs: LabTally, medicines: MedicineTally, analytes: Mapping[str, Analyte], lines: Lines
) -> list[Unmapped]:
    """All that is not mapped, the most frequent first."""
    found = [*lines.of_labs(labs, analytes), *lines.of_medicines(medicines)]
    return sorted(found, key=lambda each: (-each.count, each.concept, each.system, each.code))


def units_of(seen: Counter[Seen]) -> Counter[str]:
    """The same counts by unit alone."""
    units: Counter[str] = Counter()
    for each, times in seen.items():
        units[each.unit] += times
    return units


def unlike(seen: Iterable[Seen], analyte: Analyte) -> str:
    """Name and unit must both speak for a test: a unit that is like none of its units speaks for another test."""
    odd = [each for each in seen if each.doubt == UNKNOWN]
    if analyte.id in OUTCOMES or not odd or any(each.doubt != UNKNOWN for each in seen):
        return ""
    return "" if any(alike(each.unit, analyte) or alike(each.unit_code, analyte) for each in odd) else ODD_UNIT


def cannot_be_written(concept: str, identity: Identity, privacy: Privacy) -> str:
    """Why a line with this code would not load, would not be found again, or might harm the one who pastes it."""
    system, code = identity
    if not system:
        return "it is sent without a code system"
    if privacy.hides(system):
        return "its code system names a patient"
    if shown(system) != system or shown(code) != code:
        return "it holds signs that cannot be pasted, or is too long"
    if is_formula(system) or is_formula(code):
        return "a spreadsheet would take it for a formula"
    faults = Faults()
    line = CodeLine("", system, code, code, "", "doctor", local=True)
    return "" if sound_line(line, USES[concept.partition("-")[0]], faults) else "a value set cannot hold such a code"


def by_identity(counter: Counter[Seen]) -> dict[Identity, Counter[Seen]]:
    """Together what a value set would hold as one code, whatever stands beside it."""
    groups: dict[Identity, Counter[Seen]] = {}
    for seen, times in counter.items():
        groups.setdefault(identity_of(seen.code), Counter())[seen] += times
    return groups


def together(codes: Counter[Code]) -> dict[Identity, Counter[Code]]:
    groups: dict[Identity, Counter[Code]] = {}
    for code, times in codes.items():
        groups.setdefault(identity_of(code), Counter())[code] += times
    return groups


def identity_of(code: Code) -> Identity:
    """The system as value sets write it, and the code."""
    return code.known_system or code.system, code.code


def names(seen: Counter[Seen]) -> Counter[Code]:
    """The same counts by name instead of by unit."""
    found: Counter[Code] = Counter()
    for each, times in seen.items():
        found[each.code] += times
    return found


def claimed(labs: LabTally) -> Counter[Identity]:
    """Of how many analytes each code bears the name."""
    return Counter(identity for counter in labs.suspected.values() for identity in by_identity(counter))


def lab_use(analyte: Analyte, seen: Iterable[Seen]) -> str:
    """What the units that came with the code promise: mass, molar, either of them, or nothing."""
    spelt = {unit.family for each in seen if each.doubt == UNKNOWN and (unit := alike(each.unit, analyte))}
    families = (families_of(seen) | spelt) & {"mass", "molar"}
    if not families:
        return "ordinal" if analyte.id in OUTCOMES and not families_of(seen) else ""
    return "either" if len(families) == 2 else next(iter(families))


def in_files(found: Iterable[Unmapped], present: frozenset[str]) -> dict[str, list[str]]:
    """The lines by file; the header where the site does not have the file yet."""
    files: dict[str, list[str]] = {}
    for each in found:
        if not each.why_not:
            file = f"{VALUE_SETS}/{each.concept}.csv"
            files.setdefault(file, [] if file in present else [",".join(HEADER)]).append(each.line)
    return files


def code_questions(found: Iterable[Unmapped], displays: Mapping[str, str]) -> list[str]:
    """Codes that are not among the lines to paste, with the line where there can be one."""
    questions = []
    for each in found:
        if each.why_not:
            test = displays[each.concept.partition("-")[2]]
            said = f"{each.code} {each.display} ({each.count} times) has a name like {test}, but {each.why_not}."
            line = f" If it is that test, this goes into {VALUE_SETS}/{each.concept}.csv: {each.line}"
            questions.append(said + (line if each.line else ""))
    return questions
