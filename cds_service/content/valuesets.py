"""Value sets: which concept a code stands for, read from CSV and checked, check digits included; and shown for review.

The file name is the concept ("lab-b12", "problem-fatigue"). A line that fails is reported and left out. Loading keeps
only what recognises a code; whoever reviews a value set has its file read again, and `unchanged` says whether the
files are still those that were loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING

import msgspec

from .codes import ATC, DISPLAYABLE, ICD, KNOWN_SYSTEMS, LOINC, SNOMED, UNLESS_WORDS, bare, canonical_system
from .faults import Faults, listing, nearest
from .files import VALUE_SETS, CodeLine, Files, code_lines, digest, value_set_files
from .language import LANG
from .shapes import Coding

if TYPE_CHECKING:
    from .content import Content

LAB_USES = ("", "mass", "molar", "either", "ordinal")
MEDICINE_USES = ("", "prefix", "multivitamin", "antidote", "component")
USES = {"lab": LAB_USES, "medicine": MEDICINE_USES, "problem": ("", "prefix", UNLESS_WORDS), "allergy": ("", "prefix")}
ALLERGIES = ("cobalamin", "cobalt")
SNOMED_ID = re.compile(r"[1-9][0-9]{5,17}")
UNASKED = re.compile(r"[,|$\\\x00-\x1f\x7f]")  # they separate codes in a FHIR search, or cannot be seen
LONGEST_CODE = 100  # of a site's own: all codes of a prefetch key share one address
LOINC_CODE = re.compile(r"[1-9][0-9]{0,6}-[0-9]")


class CodeRow(msgspec.Struct, frozen=True, gc=False):
    """One line that holds: a code of a concept. Few stay in memory after loading; most live on in `Codes` alone."""

    concept: str
    system: str
    code: str
    display: str
    use: str
    local: bool = False  # a site's own


def read_value_sets(files: Files, concepts: Mapping[str, frozenset[str]], faults: Faults) -> list[CodeRow]:
    """Every row of every value set. `concepts` says what may follow each kind: "problem" -> the ids of problems."""
    rows: list[CodeRow] = []
    kinds: dict[tuple[str, str], CodeRow] = {}
    for name, paths in files.value_sets.items():
        kind, _, concept = name.partition("-")
        place = f"{VALUE_SETS}/{name}.csv"
        if kind not in concepts:
            faults.add(place, f"no kind of value set {kind!r}. Known: {listing(concepts)}")
            continue
        if concepts[kind] and concept not in concepts[kind]:
            faults.unknown(place, f"{kind} concept", concept, concepts[kind])
        seen: set[tuple[str, str]] = set()
        for line in code_lines(name, paths, faults):
            key = (line.system, bare(line.system, line.code))
            if key in seen:
                faults.add(line.place, f"the code {line.code!r} stands in the file twice")
            elif sound_line(line, USES.get(kind, ("",)), faults):
                seen.add(key)
                row = code_row(name, line)
                check_one_meaning(row, line, kind, kinds, faults)
                rows.append(row)
    return rows


def drafted_rows(drafted: Iterable[tuple[str, str, Coding]], rows: list[CodeRow], faults: Faults) -> list[CodeRow]:
    """What a site's drafts carry in a system of its own (a key of a preference list) is recognised when it comes back.

    `drafted`: (place, concept, coding). A code stands for one test or one medicine.
    """
    meanings = {(row.system, row.code): row.concept for row in rows if row.concept.startswith(("order-", "medicine-"))}
    found: list[CodeRow] = []
    for place, concept, (system, code, display) in drafted:
        if canonical_system(system):
            continue
        known = meanings.setdefault((system, code), concept)
        if known != concept:
            faults.add(place, f"the code {code!r} of {system} already stands for {known!r}")
        elif (system, code) not in {(row.system, row.code) for row in found}:
            found.append(CodeRow(intern(concept), intern(system), intern(code), display, "", True))
    return found


def code_row(name: str, line: CodeLine) -> CodeRow:
    """The line as it stays in memory; texts that recur are shared."""
    return CodeRow(intern(name), intern(line.system), intern(line.code), line.display, intern(line.use), line.local)


def sound_line(line: CodeLine, uses: tuple[str, ...], faults: Faults) -> bool:
    """Is the line complete, of a known system (a site may add its own), and its code well formed?"""
    problems = []
    if fault := system_fault(line):
        problems.append(fault)
    if not line.code or not line.display or not line.source:
        problems.append("code, display and source must be given")
    if line.use not in uses:
        problems.append(f"use is {line.use!r}; allowed: {', '.join(repr(use) for use in uses)}")
    elif line.use == "prefix" and line.system not in (*ICD, ATC):
        problems.append("use 'prefix' is for ICD and ATC, whose codes are built like that")
    elif fault := code_fault(line.system, line.code):
        problems.append(fault)
    elif line.local and len(line.code) > LONGEST_CODE:
        problems.append(
            f"the code has {len(line.code)} characters; allowed: {LONGEST_CODE}, or others are not asked for"
        )
    elif line.local and (UNASKED.search(line.code) or not line.code.isprintable()):
        problems.append(f"the code {line.code!r} holds a sign that no search can ask for: , | $ \\ or one unseen")
    for problem in problems:
        faults.add(line.place, problem)
    return not problems


def system_fault(line: CodeLine) -> str:
    """What is wrong with the code system, or "". A site may add its own: the text that its records send."""
    if line.system in KNOWN_SYSTEMS:
        return ""
    known = canonical_system(line.system)
    if line.local and line.system and not known and line.system.isprintable() and " " not in line.system:
        return ""
    if line.local and known:
        return f"the code system {line.system!r} is read as {known}: write that"
    hint = nearest(line.system, KNOWN_SYSTEMS)
    return f"no code system {line.system!r}.{hint} Known: {listing(KNOWN_SYSTEMS)}"


def code_fault(system: str, code: str) -> str:
    """What is wrong with the form of a code, or ""."""
    if system == LOINC and not code.startswith("LA"):  # answer codes have another check digit
        if not LOINC_CODE.fullmatch(code):
            return f"{code!r} is no LOINC code"
        return "" if loinc_check_digit(code) else f"the LOINC code {code!r} fails its check digit"
    if system == SNOMED:
        if not SNOMED_ID.fullmatch(code):
            return f"{code!r} is no SNOMED CT identifier (6 to 18 digits, kept as text)"
        return "" if snomed_check_digit(code) else f"the SNOMED CT identifier {code!r} fails its check digit"
    if system in ICD and len(code) > 3 and "." not in code and system in DISPLAYABLE:
        return f"the ICD code {code!r} must be written with its dot"
    return ""


def loinc_check_digit(code: str) -> bool:
    """Modulus 10: every other digit doubled, from the right."""
    digits, _, check = code.partition("-")
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value // 10 + value % 10
    return (10 - total % 10) % 10 == int(check)


def snomed_check_digit(code: str) -> bool:
    """Verhoeff, over the dihedral group of order 10."""
    check = 0
    for step, digit in zip(STEPS, reversed(code), strict=False):
        check = step[check][digit]
    return check == 0


def dihedral(left: int, right: int) -> int:
    """The product of two elements of the symmetry group of the pentagon, 0 to 4 rotations, 5 to 9 reflections."""
    turned = left + right if left < 5 else left - right
    return turned % 5 + (5 if (left < 5) != (right < 5) else 0)


PRODUCT = tuple(tuple(dihedral(left, right) for right in range(10)) for left in range(10))
FIRST_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def permutations() -> tuple[tuple[int, ...], ...]:
    """Verhoeff's permutation and its powers, one per position."""
    powers = [tuple(range(10))]
    for _ in range(7):
        powers.append(tuple(FIRST_PERMUTATION[digit] for digit in powers[-1]))
    return tuple(powers)


PERMUTED = permutations()
# By position, from the right: the check so far and the digit -> the check after it.
STEPS = tuple(
    tuple({str(digit): row[PERMUTED[position % 8][digit]] for digit in range(10)} for row in PRODUCT)
    for position in range(18)
)


def check_one_meaning(
    row: CodeRow, line: CodeLine, kind: str, kinds: dict[tuple[str, str], CodeRow], faults: Faults
) -> None:
    """A laboratory code measures one thing: it may not stand for two analytes, nor for one and a look-alike."""
    if kind not in ("lab", "other"):
        return
    known = kinds.setdefault((row.system, row.code), row)
    if known.concept != row.concept and known.local and not row.local:
        place = f"site {VALUE_SETS}/{known.concept}.csv"
        faults.add(place, f"the code {row.code!r} already stands for {row.concept!r}")
    elif known.concept != row.concept:
        faults.add(line.place, f"the code {row.code!r} already stands for {known.concept!r}")


KINDS = {
    "lab": "Laboratory tests: read as results",
    "problem": "Symptoms, diseases, operations and circumstances",
    "medicine": "Medicines",
    "allergy": "Allergies",
    "order": "Orders that are recognised as tests",
    "route": "Routes of administration",
    "other": "Laboratory codes that look alike and are not used",
    "specimen": "Specimens",
    "status": "Recorded states",
}
USES_IN_WORDS = {
    "mass": "in mass units",
    "molar": "in molar units",
    "either": "in either kind of unit",
    "ordinal": "positive or negative",
    "prefix": "this code and all that begin with it",
    "unless-words": "unless the words beside it name another problem",
    "multivitamin": "a multivitamin: no treatment",
    "antidote": "an antidote: no treatment",
    "component": "a component of a product",
}


@dataclass(frozen=True, slots=True)
class ValueSet:
    """One file of value-sets/: what its codes stand for, and its lines where they were read."""

    name: str
    kind: str
    display: str
    count: int
    groups: tuple[str, ...] = ()
    lines: tuple[CodeLine, ...] = ()


def value_sets(content: Content, *, keep: bool = False) -> dict[str, ValueSet]:
    """Every value set by its name, with its lines if they are to be kept."""
    files = value_set_files(value_roots(content))
    return {name: counted(content, name, lines_of(name, files[name]), keep) for name in sorted(files)}


def value_set(content: Content, name: str) -> ValueSet | None:
    """One value set with its lines, or None if there is none of that name."""
    files = value_set_files(value_roots(content))
    return counted(content, name, lines_of(name, files[name]), keep=True) if name in files else None


def counted(content: Content, name: str, lines: tuple[CodeLine, ...], keep: bool = False) -> ValueSet:
    kind, _, concept = name.partition("-")
    display = content.displays.get(concept, concept.replace("-", " "))
    recognised = kind in ("problem", "medicine")
    groups = tuple(group for group, members in content.groups.items() if recognised and concept in members)
    return ValueSet(name, kind, display, len(lines), groups, lines if keep else ())


def lines_of(name: str, paths: tuple[tuple[Path, bool], ...]) -> tuple[CodeLine, ...]:
    return tuple(code_lines(name, paths, Faults()))


def roots(content: Content) -> list[Path]:
    """Our folder, that of the language, and the site's that was laid over them."""
    first, *site = value_roots(content)
    return [first, *([content.folder / LANG / content.language.id] if content.language.id else []), *site]


def value_roots(content: Content) -> list[Path]:
    """The folders that hold value sets: ours, and then the site's."""
    return [content.folder, *([content.site.folder] if content.site.folder else [])]


def unchanged(content: Content) -> bool:
    """Are the files on disk still those that were loaded?"""
    return digest(roots(content)) == content.digest
