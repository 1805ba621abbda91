"""Findings are declared once: what contradicts itself does not start, and no rule reads what it does not declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given

from cds_service.clinical.case import Case
from cds_service.clinical.findings import REGISTRY, RESTS_ON, assess
from cds_service.clinical.record import Patient, PatientRecord
from cds_service.clinical.rules import Registry, RuleError, Rules
from cds_service.clinical.tables import Pathway
from tests.book import PATHWAYS, content, told
from tests.clinical.patients import TODAY, records
from tests.watched_limits import WatchedLimits


def registry(declare: Callable[[Rules], object]) -> Registry:
    rules = Rules()
    rules.results("platelets", count_for="blood-count-current")
    rules.finding("known", "it is known", reads="the record")(lambda case: None)
    declare(rules)
    return Registry((rules,))


def declare_circle(rules: Rules) -> None:
    rules.any_of("one", "one", "two")
    rules.any_of("two", "two", "one")


@pytest.mark.parametrize(
    "declare, message",
    [
        (lambda rules: rules.any_of("known", "again", "known"), "the finding 'known' is declared twice"),
        (lambda rules: rules.any_of("new", "new", "unknown"), "'new' follows from 'unknown', which is not declared"),
        (declare_circle, "follow from each other in a circle: one -> two -> one"),
        (lambda rules: rules.any_of("new", " ", "known"), "the finding 'new' has no plain words"),
        (
            lambda rules: rules.any_of("New-one", "new", "known"),
            "'New-one' is no name that a row may use; allowed",
        ),
        (
            lambda rules: rules.compare("new", "new", "plateletts", above="x"),
            "compares 'plateletts', of which no days are declared; known: platelets",
        ),
        (
            lambda rules: rules.compare("new", "new", "platelets", above="x", below="y"),
            "the finding 'new' compares with one limit: below, or above",
        ),
        (lambda rules: rules.limit("idle", "days", "Idle"), "the limit 'idle' is declared, and no finding reads it"),
        (
            lambda rules: rules.finding("new", "new", limits="missing", reads="x")(lambda case: None),
            "'new' reads the limit 'missing', which is not declared",
        ),
        (
            lambda rules: rules.finding("new", "new")(lambda case: None),
            "the finding 'new' does not say what it is drawn from",
        ),
    ],
)
def test_declarations_that_contradict_themselves_do_not_start(declare: Callable[[Rules], object], message: str):
    with pytest.raises(RuleError, match=message):
        registry(declare)


def test_a_finding_is_made_after_what_it_follows_from_whatever_the_order_of_the_declarations():
    def declare(rules: Rules) -> None:
        rules.any_of("last", "last", "middle")
        rules.any_of("middle", "middle", "known")

    names = [rule.name for rule in registry(declare).order]
    assert names.index("known") < names.index("middle") < names.index("last")


def test_what_rests_on_an_optional_limit_hands_that_on():
    assert RESTS_ON["folate_order_critical"] == RESTS_ON["folate_order_matters"] == ("b12-begun",)
    assert RESTS_ON["b12_high_twice"] == ("b12-high-mass", "b12-high-molar")
    assert not {"on_im", "b12_deficient", "cord"} & RESTS_ON.keys()  # no pathway may lose these
    assert "loading-short" not in RESTS_ON["order_differs"]  # it only refines


class Noting(dict[str, Any]):
    """What was found, noting which findings were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


@cache
def declared(name: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The limits, the findings and the groups that a rule and the steps behind it declare."""
    parts = [*REGISTRY.parts(name)]
    return (
        frozenset(limit for each in parts for limit in each.limits),
        frozenset(finding for each in parts for finding in each.follows_from),
        frozenset(group for each in parts for group in (*each.problems, *each.medicines)),
    )


def undeclared(case: Case, limits: WatchedLimits, found: Noting, groups: Noting) -> Iterator[str]:
    """What each rule reads beside what it, or a step behind it, declares."""
    for rule in REGISTRY.made:
        if not all(name in limits for name in RESTS_ON.get(rule.name, ())):
            continue
        for noted in (limits.read, found.asked, groups.asked):
            noted.clear()
        evidence = rule.make(case)
        told_of = list(evidence) if evidence else []
        reads = (limits.read, found.asked, groups.asked)
        for kind, read, allowed in zip(("limit", "finding", "group"), reads, declared(rule.name), strict=True):
            yield from (f"{rule.name}: {kind} {name}" for name in sorted(read - allowed))
        if told_of and not rule.is_step:
            dict.__setitem__(found, rule.name, tuple(told_of))


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_no_rule_reads_what_it_does_not_declare(pathway: str):
    found_undeclared: set[str] = set()
    ours = content().pathways[pathway]
    for each in told(pathway):
        limits = WatchedLimits({name: ours.limits[name] for name in REGISTRY.limits if name in ours.limits})
        groups, found = Noting(), Noting()
        for name, members in ours.groups.items():
            dict.__setitem__(groups, name, members)
        watched = replace(ours)
        object.__setattr__(watched, "limits", limits)
        object.__setattr__(watched, "groups", groups)
        case = Case(each.record, watched, each.vignette.as_of)
        case.found = found
        found_undeclared.update(undeclared(case, limits, found, groups))
    assert sorted(found_undeclared) == []


# Rules of which nothing is recorded are not asked: what they say they are drawn from must be all that they find in


def every_finding(case: Case) -> dict[str, Any]:
    """The findings of a case when every rule is asked, whatever it needs."""
    for rule in REGISTRY.made_with(case.limits.names):
        evidence = rule.make(case)
        case.add(rule.name, None if rule.is_step else evidence)
    return case.found


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_no_rule_that_is_not_asked_would_have_found_anything(pathway: str):
    ours, not_asked = content().pathways[pathway], 0
    for each in told(pathway):
        found = assess(each.record, ours, each.vignette.as_of).case
        every = every_finding(Case(each.record, ours, each.vignette.as_of))
        added = {threshold.makes for threshold in ours.compared}
        assert {name: found.found[name] for name in found.found if name not in added} == every
        there = found.recorded() | every.keys()
        not_asked += sum(rule.needs.isdisjoint(there) for rule in REGISTRY.made if rule.needs)
    assert not_asked


@given(records())
def test_the_same_of_thousands_of_patients(pathway: Pathway, told_of: PatientRecord):
    assert assess(told_of, pathway, TODAY).case.found == every_finding(Case(told_of, pathway, TODAY))


class NothingFound(dict[str, Any]):
    """What was found, where nothing ever is."""

    def __setitem__(self, name: str, evidence: Any) -> None:
        pass


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_a_rule_that_needs_something_finds_nothing_in_an_empty_record(pathway: str):
    case = Case(PatientRecord(Patient("Patient/p")), content().pathways[pathway], TODAY)
    case.found = NothingFound()
    for rule in REGISTRY.made_with(case.limits.names):
        evidence = tuple(rule.make(case) or ())
        assert not evidence or not rule.needs or rule.is_step, rule.name
