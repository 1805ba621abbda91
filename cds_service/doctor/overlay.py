"""What is not mapped, as lines that a person pastes into the folder of the site once the laboratory has confirmed them.

Codes become lines of `value-sets/*.csv`, spellings of units become entries of `analytes.toml`. What cannot be written
so that the service would find it again, and what only the laboratory can know, becomes a question: a factor of a unit
is never guessed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from ..clinical.tables import MICRO, Analyte, Unit, normalise_unit
from ..content.faults import Faults
from ..content.files import HEADER, VALUE_SETS, CodeLine, written_line
from ..content.valuesets import USES, sound_line
from ..fhir.labs import OUTCOMES
from .fhir_server import Privacy, is_formula, no_formula, shown
from .survey import Code, CodeInUnit, LabTally, MedicineTally, families_of

LONGEST = 40
REMARKS = re.compile(r"\{[^}]*\}|\([^)/]*\)|\bserum\b|\bplasma\b|\bblood\b")
WORDS = (  # as many write them -> as we do; longer ones first
    (r"micro-?gra?m(me)?s?|microg|mcg", "ug"),
    (r"nano-?gra?m(me)?s?|nanog", "ng"),
    (r"pico-?gra?m(me)?s?|picog", "pg"),
    (r"milli-?gra?m(me)?s?", "mg"),
    (r"gra?m(me)?s?|gms?(?![a-z])", "g"),
    (r"micro-?mole?s?|mcmole?s?|umoles?", "umol"),
    (r"nano-?mole?s?|nmoles?", "nmol"),
    (r"pico-?mole?s?|pmoles?", "pmol"),
    (r"milli-?mole?s?|mmoles?", "mmol"),
    (r"micro-?lit(er|re)s?|mcl", "ul"),
    (r"milli-?lit(er|re)s?", "ml"),
    (r"deci-?lit(er|re)s?", "dl"),
    (r"femto-?lit(er|re)s?", "fl"),
    (r"lit(er|re)s?|ltr", "l"),
)
SPELLINGS = tuple((re.compile(pattern), short) for pattern, short in WORDS)


def alike(text: str, analyte: Analyte) -> Unit | None:
    """The unit of the analyte that this text seems to be a spelling of, or None."""
    form = plain_form(text)
    units = {(unit.family, unit.factor): unit for known, unit in analyte.units.items() if plain_form(known) == form}
    return next(iter(units.values())) if form and len(units) == 1 else None


def plain_form(text: str) -> str:
    """A unit without what laboratories add, leave out, or write in full."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).translate(MICRO).casefold()
    plain = REMARKS.sub(" ", plain).replace(" per ", "/")
    for pattern, short in SPELLINGS:
        plain = pattern.sub(short, plain)
    plain = re.sub(r"[\s^*·.,_]+", "", plain).replace("×", "x")
    return re.sub(r"^x(?=10)", "", plain)


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
                yield self._of(
                    f"lab-{analyte}",
                    identity,
                    lab_use(analytes[analyte], seen),
                    codes=names(seen),
                    units=units,
                    why=why,
                )

    def of_medicines(self, medicines: MedicineTally) -> Iterator[Unmapped]:
        """Every code of a medicine that is recognised by its name only."""
        for ingredient, codes in medicines.by_words.items():
            for identity, times in together(codes).items():
                use = medicines.uses.get((ingredient, next(iter(times))), "")
                yield self._of(f"medicine-{ingredient}", identity, use, codes=times)

    def _of(
        self,
        concept: str,
        identity: Identity,
        use: str,
        *,
        codes: Counter[Code],
        units: Counter[str] | None = None,
        why: str = "",
    ) -> Unmapped:
        """One code with its line, and the reason why it is not to be pasted as it is, if there is one."""
        show = self._privacy.show
        bad = cannot_be_written(concept, identity, self._privacy)
        display = shown(no_formula(show(codes.most_common(1)[0][0].display))) or shown(identity[1])
        line = "" if bad else written_line(*identity, display, use, self._source)
        counted = tuple((show(unit), times) for unit, times in (units or Counter()).most_common())
        identity_shown = show(identity[0]), shown(identity[1]), display
        return Unmapped(concept, identity, *identity_shown, counted, sum(codes.values()), line, why or bad)


def code_lines(
    labs: LabTally, medicines: MedicineTally, analytes: Mapping[str, Analyte], lines: Lines
) -> list[Unmapped]:
    """All that is not mapped, the most frequent first."""
    found = [*lines.of_labs(labs, analytes), *lines.of_medicines(medicines)]
    return sorted(found, key=lambda each: (-each.count, each.concept, each.system, each.code))


def units_of(seen: Counter[CodeInUnit]) -> Counter[str]:
    """The same counts by unit alone."""
    units: Counter[str] = Counter()
    for each, times in seen.items():
        units[each.unit] += times
    return units


def unlike(seen: Iterable[CodeInUnit], analyte: Analyte) -> str:
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


def by_identity(counter: Counter[CodeInUnit]) -> dict[Identity, Counter[CodeInUnit]]:
    """Together what a value set would hold as one code, whatever else stands with it."""
    groups: dict[Identity, Counter[CodeInUnit]] = {}
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


def names(seen: Counter[CodeInUnit]) -> Counter[Code]:
    """The same counts by name instead of by unit."""
    found: Counter[Code] = Counter()
    for each, times in seen.items():
        found[each.code] += times
    return found


def claimed(labs: LabTally) -> Counter[Identity]:
    """Of how many analytes each code bears the name."""
    return Counter(identity for counter in labs.suspected.values() for identity in by_identity(counter))


def lab_use(analyte: Analyte, seen: Iterable[CodeInUnit]) -> str:
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


def note(faults: UnitFaults, seen: CodeInUnit, times: int, analyte: str) -> None:
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
            shown_text = privacy.show(text)
            remarks.append(f"{display}: {times} results whose unit and its code contradict each other ({shown_text}).")
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
