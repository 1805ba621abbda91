"""How a finding is declared: its name, what it means in plain words, and what it is drawn from, with the rule itself.

A subject module makes one `Rules` and declares its limits, steps and findings with it. `Registry` compiles those of all
modules, puts them in order, and refuses to start with any that contradict each other. Everything that must know the
findings (the names a row may use, the limits a pathway must state, the review sheet) is derived from the registry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from .case import ORDERS, Because, Case, flag_opposes, in_limit_unit, surely_above, surely_below
from .record import LabResult

Found = Iterable[Because] | None
Make = Callable[[Case], Found]
Step = Callable[[Case], bool]
Declared = TypeVar("Declared", "Rule", "LimitRule")
NAME = re.compile(r"[a-z][a-z0-9_]*")
SOMETHING = (Because("", "found by a step"),)  # what a step returns that found anything: it is no finding


class RuleError(Exception):
    """The declarations contradict each other; the message names the finding and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class LimitRule:
    """A number that decides: every pathway must state it, unless it is optional; then what rests on it is not made."""

    name: str
    unit: str
    words: str
    optional: bool = False
    refines: bool = False  # a finding that reads it is made without it, too


@dataclass(frozen=True, slots=True)
class Rule:
    """A finding, or a step that prepares what findings read.

    `follows_from` names findings and steps. `problems` and `medicines` are groups, `analytes` tests that are read
    directly, `reads` says in plain words what else of the record is read. `form` says how the parts are joined, where
    that is all there is to it: "any of" or "all of"; "below" or "above" where one result is compared with one limit.
    `of_nothing`: the finding may say that something is not recorded. `of_orders`: it needs orders in the call.
    """

    name: str
    words: str
    make: Make  # of a step: the step itself
    follows_from: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    medicines: tuple[str, ...] = ()
    analytes: tuple[str, ...] = ()
    reads: str = ""
    form: str = ""
    is_step: bool = False
    is_decided: bool = False  # made by the decision, once it knows the rows that hold
    of_nothing: bool = False
    of_orders: bool = False

    @property
    def needs(self) -> frozenset[str]:
        """The findings, steps, groups and analytes of which one must be there, or else the rule finds nothing. Empty:
        it reads something else too, or may find that nothing is there."""
        if self.of_orders:
            return frozenset((ORDERS,))
        if self.reads or self.of_nothing:
            return frozenset()
        return frozenset((*self.follows_from, *self.problems, *self.medicines, *self.analytes))


@dataclass(frozen=True, slots=True)
class Probe:
    """Where a finding comes or goes: an analyte strictly below its limit, strictly above it, or from it on.

    `sex` and `problem` (a concept) say what else must be recorded of the patient for that limit to count.
    """

    finding: str
    limit: str
    analyte: str
    side: str  # below | above | from
    sex: str = ""
    problem: str = ""


class Rules:
    """The declarations of one module, in the order in which they are written."""

    def __init__(self) -> None:
        self.declared: list[Rule] = []
        self.stated: list[LimitRule] = []
        self.counts_for: dict[str, str] = {}
        self.probes: list[Probe] = []

    def limit(self, name: str, unit: str, words: str, *, optional: bool = False, refines: bool = False) -> None:
        """A number of the pathways' thresholds.toml that the rules of this module read."""
        self.stated.append(LimitRule(name, unit, words, optional, refines))

    def decided(self, name: str, words: str, follows_from: str, limits: str = "") -> None:
        """A finding that the decision adds, because it depends on the rows that hold."""
        parts = tuple(follows_from.split()), tuple(limits.split())
        self.declared.append(Rule(name, words, lambda case: None, *parts, is_decided=True))

    def results(self, *analytes: str, count_for: str) -> None:
        """For how long the newest result of these analytes counts: the name of a limit in days."""
        self.counts_for |= dict.fromkeys(analytes, count_for)

    def compare(
        self, name: str, words: str, analyte: str, *, below: str = "", above: str = "", follows_from: str = ""
    ) -> None:
        """The newest result that counts lies surely below, or surely above, a limit."""
        if analyte not in self.counts_for:
            known = ", ".join(sorted(self.counts_for))
            raise RuleError(f"the finding {name!r} compares {analyte!r}, of which no days are declared; known: {known}")
        if bool(below) == bool(above):
            raise RuleError(f"the finding {name!r} compares with one limit: below, or above")
        limit, days = below or above, self.counts_for[analyte]

        def make(case: Case) -> Found:
            return self.surely(case, analyte, below=below, above=above)

        parts = tuple(follows_from.split())
        self.probe(name, limit, analyte, "below" if below else "above")
        self.declared.append(
            Rule(name, words, make, parts, (limit, days), analytes=(analyte,), form="below" if below else "above")
        )

    def probe(self, finding: str, limit: str, analyte: str, side: str, *, sex: str = "", problem: str = "") -> None:
        """Where the finding must come and go, for whoever tries a site's limits. `compare` says it by itself."""
        self.probes.append(Probe(finding, limit, analyte, side, sex, problem))

    def surely(self, case: Case, analyte: str, *, below: str = "", above: str = "") -> Found:
        """The evidence of a comparison, for a finding that chooses its limit."""
        lab = case.newest(analyte, self.counts_for[analyte])
        compared = surely_below if below else surely_above
        is_there = lab is not None and compared(lab, in_limit_unit(case, lab), case.limits[below or above])
        if is_there and lab is not None and flag_opposes(lab, "below" if below else "above"):
            return None  # unclear: the laboratory says otherwise (`laboratory.unjudged` names it)
        return case.because(lab) if is_there else None

    def opposed(self, case: Case, analyte: str) -> LabResult | None:
        """The newest result of an analyte, where it passes a limit and the laboratory's flag says otherwise."""
        lab = case.newest(analyte, self.counts_for[analyte]) if analyte in self.counts_for else None
        if lab is None or not lab.flag:
            return None
        for probe in self.probes:
            if probe.analyte != analyte or probe.side == "from" or not flag_opposes(lab, probe.side):
                continue
            compared = surely_below if probe.side == "below" else surely_above
            if compared(lab, in_limit_unit(case, lab), case.limits[probe.limit]):
                return lab
        return None

    def any_of(self, name: str, words: str, *names: str) -> None:
        """True when any of these findings is; its evidence is theirs."""
        self.declared.append(Rule(name, words, lambda case: case.joined(names), names, form="any of"))

    def all_of(self, name: str, words: str, *names: str) -> None:
        """True when all of these findings are; its evidence is theirs."""

        def make(case: Case) -> Found:
            return case.joined(names) if all(each in case.found for each in names) else None

        self.declared.append(Rule(name, words, make, names, form="all of"))

    def finding(
        self,
        name: str,
        words: str,
        *,
        follows_from: str = "",
        limits: str = "",
        problems: str = "",
        medicines: str = "",
        analytes: str = "",
        reads: str = "",
        of_nothing: bool = False,
        of_orders: bool = False,
    ) -> Callable[[Make], Make]:
        """A finding that a function makes: it returns the evidence, or nothing where the finding does not hold."""

        def declare(make: Make) -> Make:
            self.declared.append(
                Rule(
                    name,
                    words,
                    make,
                    tuple(follows_from.split()),
                    tuple(limits.split()),
                    tuple(problems.split()),
                    tuple(medicines.split()),
                    tuple(analytes.split()),
                    reads,
                    of_nothing=of_nothing,
                    of_orders=of_orders,
                )
            )
            return make

        return declare

    def step(
        self,
        name: str,
        *,
        follows_from: str = "",
        limits: str = "",
        problems: str = "",
        medicines: str = "",
        analytes: str = "",
        reads: str = "",
    ) -> Callable[[Step], Step]:
        """What several findings read, worked out once: the function sets attributes of the case, and says whether
        there is anything in them; where there is not, findings that follow from the step alone are not made."""

        def declare(work: Step) -> Step:
            def make(case: Case) -> Found:
                return SOMETHING if work(case) else None

            self.declared.append(
                Rule(
                    name,
                    "",
                    make,
                    tuple(follows_from.split()),
                    tuple(limits.split()),
                    tuple(problems.split()),
                    tuple(medicines.split()),
                    tuple(analytes.split()),
                    reads,
                    is_step=True,
                )
            )
            return work

        return declare


@dataclass(frozen=True)
class Registry:
    """The rules of all modules, in an order in which each comes after what it follows from."""

    modules: tuple[Rules, ...]
    rules: dict[str, Rule] = field(init=False)
    limits: dict[str, LimitRule] = field(init=False)
    order: tuple[Rule, ...] = field(init=False)

    def __post_init__(self) -> None:
        rules = unique("finding", ((each.name, each) for module in self.modules for each in module.declared))
        limits = unique("limit", ((each.name, each) for module in self.modules for each in module.stated))
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "limits", limits)
        check_names(rules, limits)
        object.__setattr__(self, "order", tuple(in_order(rules)))

    @property
    def names(self) -> frozenset[str]:
        """Every finding that a row may name."""
        return frozenset(each.name for each in self.order if not each.is_step)

    @property
    def made(self) -> tuple[Rule, ...]:
        """The rules that are made from the record, in their order."""
        return tuple(each for each in self.order if not each.is_decided)

    def made_with(self, limits: frozenset[str]) -> tuple[Rule, ...]:
        """Those of them that a pathway which states these limits makes: what rests on an optional limit needs it."""
        rests_on = self.rests_on()
        return tuple(each for each in self.made if limits.issuperset(rests_on.get(each.name, ())))

    @property
    def words(self) -> dict[str, str]:
        """The plain words of every finding and limit, by "findings.b12_grey" and "thresholds.hb-men"."""
        findings = {f"findings.{each.name}": each.words for each in self.rules.values() if not each.is_step}
        return findings | {f"thresholds.{each.name}": each.words for each in self.limits.values()}

    @property
    def counts_for(self) -> dict[str, str]:
        """Analyte -> the limit of days within which its newest result counts."""
        return {analyte: days for module in self.modules for analyte, days in module.counts_for.items()}

    @property
    def probes(self) -> tuple[Probe, ...]:
        """Every limit of a result, with the finding that comes or goes there."""
        return tuple(each for module in self.modules for each in module.probes)

    def stated(self, optional: bool) -> dict[str, str]:
        """The limits that every pathway must state, or those that it may: name -> unit."""
        return {each.name: each.unit for each in self.limits.values() if each.optional == optional}

    def groups(self, kind: str) -> frozenset[str]:
        """The groups of "problems" or "medicines" that any rule reads."""
        return frozenset(name for each in self.rules.values() for name in getattr(each, kind))

    def parts(self, name: str) -> Iterator[Rule]:
        """A rule, and the steps behind it."""
        rule = self.rules[name]
        yield rule
        for each in rule.follows_from:
            if self.rules[each].is_step:
                yield from self.parts(each)

    def rests_on(self) -> dict[str, tuple[str, ...]]:
        """Finding or step -> the optional limits without which it is not made, those of what it follows from too."""
        found: dict[str, tuple[str, ...]] = {}
        for rule in self.order:
            own = [name for name in rule.limits if self.limits[name].optional and not self.limits[name].refines]
            inherited = [name for each in rule.follows_from for name in found.get(each, ())]
            if names := tuple(dict.fromkeys((*own, *inherited))):
                found[rule.name] = names
        return found


def unique(kind: str, pairs: Iterable[tuple[str, Declared]]) -> dict[str, Declared]:
    """By name; a name that is declared twice is an error."""
    found: dict[str, Declared] = {}
    for name, each in pairs:
        if name in found:
            raise RuleError(f"the {kind} {name!r} is declared twice")
        found[name] = each
    return found


def check_names(rules: dict[str, Rule], limits: dict[str, LimitRule]) -> None:
    """Every name that a rule uses is declared, every finding has its words, and no limit is idle."""
    for rule in rules.values():
        for name in rule.follows_from:
            if name not in rules:
                raise RuleError(f"the finding {rule.name!r} follows from {name!r}, which is not declared")
        for name in rule.limits:
            if name not in limits:
                raise RuleError(f"the finding {rule.name!r} reads the limit {name!r}, which is not declared")
        if not rule.is_step and not NAME.fullmatch(rule.name):
            raise RuleError(f"the finding {rule.name!r} is no name that a row may use; allowed: a-z, 0-9 and _")
        if not rule.is_step and not rule.words.strip():
            raise RuleError(f"the finding {rule.name!r} has no plain words")
        if not (rule.follows_from or rule.problems or rule.medicines or rule.analytes or rule.reads):
            raise RuleError(f"the finding {rule.name!r} does not say what it is drawn from")
    read = {name for rule in rules.values() for name in rule.limits}
    if idle := sorted(limits.keys() - read):
        raise RuleError(f"the limit {idle[0]!r} is declared, and no finding reads it")


def in_order(rules: dict[str, Rule]) -> Iterator[Rule]:
    """The rules as they are declared, each after what it follows from."""
    done: set[str] = set()
    for name in rules:
        yield from after_its_parts(name, rules, done, ())


def after_its_parts(name: str, rules: dict[str, Rule], done: set[str], path: tuple[str, ...]) -> Iterator[Rule]:
    if name in path:
        circle = (*path[path.index(name) :], name)
        raise RuleError(f"these findings follow from each other in a circle: {' -> '.join(circle)}")
    if name in done:
        return
    for each in rules[name].follows_from:
        yield from after_its_parts(each, rules, done, (*path, name))
    done.add(name)
    yield rules[name]
