"""The hazard log: read from deploy/safety/hazards.toml, checked, and told as a page for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.safety.reading import FOLDER, SafetyCaseError, cell, made, missing_tests, read, shown_as

SOURCE, PAGE = FOLDER / "hazards.toml", FOLDER / "hazard-log.md"
HEAD = """# Hazard log

Generated from [hazards.toml](hazards.toml) by `python -m tests.safety`: change that file, not this page. How to read
it, the risk matrix and who has signed (nobody) are in [README.md](README.md); what a hospital must add is in
[open.md](open.md). All scores are the authors' estimates; no clinician or safety officer has confirmed them.

After a whole run of the tests, a hazard with a named test that did not run or did not pass fails the run.
"""


@dataclass(frozen=True)
class Matrix:
    """The risk of each severity and likelihood, both from the least to the greatest."""

    severity: tuple[str, ...]
    likelihood: tuple[str, ...]
    risk: tuple[tuple[int, ...], ...]  # by severity, then likelihood
    meaning: dict[str, str]  # of a risk

    def place(self, score: Score) -> tuple[int, int]:
        return self.severity.index(score.severity), self.likelihood.index(score.likelihood)

    def of(self, score: Score) -> int:
        severity, likelihood = self.place(score)
        return self.risk[severity][likelihood]


@dataclass(frozen=True)
class Score:
    severity: str
    likelihood: str
    risk: int


@dataclass(frozen=True)
class Hazard:
    """One hazard: how it can come about, what it does to a patient, what is done about it, and what shows that."""

    id: str
    name: str
    causes: tuple[str, ...]
    effect: str
    existing: tuple[str, ...]  # controls outside of this software
    before: dict[str, Any]
    mitigations: tuple[str, ...]
    after: dict[str, Any]
    tests: tuple[str, ...]
    remains: str  # what the mitigations do not reach, and whose it is

    @cached_property
    def scores(self) -> tuple[Score, Score]:
        return made(Score, self.before, f"{self.id} before"), made(Score, self.after, f"{self.id} after")


@dataclass(frozen=True)
class Log:
    matrix: Matrix
    hazards: tuple[Hazard, ...]

    def faults(self) -> Iterator[str]:
        """Every reason for which this is no hazard log."""
        ids = [hazard.id for hazard in self.hazards]
        yield from (f"{each}: used twice" for each in sorted(set(ids)) if ids.count(each) > 1)
        for hazard in self.hazards:
            yield from (f"{hazard.id}: no test {test}" for test in missing_tests(hazard.tests))
            yield from self.scored_wrongly(hazard)

    def scored_wrongly(self, hazard: Hazard) -> Iterator[str]:
        for score, when in zip(hazard.scores, ("before", "after"), strict=True):
            if score.severity not in self.matrix.severity or score.likelihood not in self.matrix.likelihood:
                yield f"{hazard.id} {when}: no such severity or likelihood; the matrix names them"
                return
            if score.risk != self.matrix.of(score):
                yield f"{hazard.id} {when}: risk {score.risk}, but the matrix says {self.matrix.of(score)}"
        before, after = hazard.scores
        if any(late > early for early, late in zip(self.matrix.place(before), self.matrix.place(after), strict=True)):
            yield f"{hazard.id}: worse after the mitigations than before"

    def claims(self) -> dict[str, tuple[str, ...]]:
        return {f"hazard {hazard.id} ({hazard.name})": hazard.tests for hazard in self.hazards}


def load() -> Log:
    """The hazard log as it is written. SafetyCaseError for an entry of the wrong shape."""
    told = read(SOURCE)
    if strange := sorted(set(told) - {"matrix", "hazard"}):
        raise SafetyCaseError(f"hazards.toml: no {strange[0]!r}; allowed: matrix, hazard")
    matrix = made(Matrix, told["matrix"], "matrix")
    rows = told["hazard"]
    return Log(matrix, tuple(made(Hazard, row, row.get("id", f"hazard {n}")) for n, row in enumerate(rows, start=1)))


def page(log: Log) -> str:
    """The log as Markdown: an overview, then every hazard."""
    overview = ["| id | hazard | risk before | risk after |", "|---|---|---:|---:|"]
    for hazard in log.hazards:
        before, after = hazard.scores
        overview.append(f"| [{hazard.id}](#{hazard.id.lower()}) | {cell(hazard.name)} | {before.risk} | {after.risk} |")
    return "\n".join([HEAD, *matrix_lines(log.matrix), "", *overview, "", *map(told, log.hazards)])


def matrix_lines(matrix: Matrix) -> Iterator[str]:
    yield f"| severity \\ likelihood | {' | '.join(matrix.likelihood)} |"
    yield "|---|" + "---:|" * len(matrix.likelihood)
    for severity, row in zip(matrix.severity, matrix.risk, strict=True):
        yield f"| {severity} | {' | '.join(map(str, row))} |"
    yield ""
    yield from (f"- **{risk}**: {meaning}" for risk, meaning in sorted(matrix.meaning.items(), reverse=True))


def told(hazard: Hazard) -> str:
    """One hazard as a section of its own."""
    before, after = hazard.scores
    lines = [f'## <a id="{hazard.id.lower()}"></a>{hazard.id} {hazard.name}', "", f"**Effect:** {hazard.effect}", ""]
    for title, each in (("Causes", hazard.causes), ("Existing controls, outside of this software", hazard.existing)):
        lines += [f"**{title}:**", "", *(f"- {cell(text)}" for text in each), ""]
    lines += [f"**Before:** {scored(before)}", "", "**Mitigation:**", ""]
    lines += [*(f"- {cell(text)}" for text in hazard.mitigations), "", f"**After:** {scored(after)}", ""]
    lines += ["**Shown by:**", "", *(f"- {shown_as(test)}" for test in hazard.tests), ""]
    return "\n".join([*lines, f"**What remains, and whose it is:** {hazard.remains}", ""])


def scored(score: Score) -> str:
    return f"severity {score.severity}, likelihood {score.likelihood}: risk {score.risk}"
