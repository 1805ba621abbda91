"""Every number, condition and order of rows matters: changing any one by its smallest step breaks some vignette."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from tests.api import Choice, Pathway, Row
from tests.book import PATHWAYS, Told, content, decide_with, faults, told, with_row
from tests.watched_limits import WatchedLimits

EDGES = ("e-", "t-")  # what the vignettes at the edge of a limit are called
TABLES = ("course", "interpret", "treat", "safety", "orders", "notes")


def moved_thresholds(pathway: Pathway) -> Iterator[tuple[str, Pathway]]:
    """Each threshold one step up and one step down."""
    for name, threshold in pathway.thresholds.items():
        for word, step in (("up", threshold.step), ("down", -threshold.step)):
            changed = {**pathway.thresholds, name: replace(threshold, value=threshold.value + step)}
            yield f"{name} one step {word}", replace(pathway, thresholds=changed)


def without_conditions(pathway: Pathway) -> Iterator[tuple[str, Pathway]]:
    """Each table with one condition of one row (or of one of its choices) left out."""
    for table in TABLES:
        rows = getattr(pathway, table)
        for index, row in enumerate(rows):
            for words, changed in weakened(row):
                yield (
                    f"{table}/{row.id} {words}",
                    with_row(pathway, table, (*rows[:index], changed, *rows[index + 1 :])),
                )


def weakened(row: Row) -> Iterator[tuple[str, Row]]:
    """The row with one condition less, in each way there is."""
    for name in ("when", "any", "unless", "no_card"):
        names = getattr(row, name)
        for each in names:
            yield f"without {name} {each}", replace(row, **{name: tuple(n for n in names if n != each)})
    for name in ("raised", "treat_when"):
        pairs = getattr(row, name)
        for index, (target, names) in enumerate(pairs):
            for each in names:
                fewer = (target, tuple(n for n in names if n != each))
                yield (
                    f"without {name} {target} {each}",
                    replace(row, **{name: (*pairs[:index], fewer, *pairs[index + 1 :])}),
                )
    for name in ("tests", "regimens"):
        choices = getattr(row, name)
        for index, choice in enumerate(choices):
            yield f"without {name} {choice.id}", replace(row, **{name: (*choices[:index], *choices[index + 1 :])})
            for words, fewer in weakened_choice(choice):
                yield (
                    f"{name} {choice.id} {words}",
                    replace(row, **{name: (*choices[:index], fewer, *choices[index + 1 :])}),
                )


def weakened_choice(choice: Choice) -> Iterator[tuple[str, Choice]]:
    """The choice with one condition less."""
    for name in ("when", "any", "unless"):
        names = getattr(choice, name)
        for each in names:
            yield f"without {name} {each}", replace(choice, **{name: tuple(n for n in names if n != each)})


def swapped(pathway: Pathway) -> Iterator[tuple[str, Pathway]]:
    """Neighbouring rows of the first-match tables, swapped; the last row stays last."""
    for table in ("course", "interpret", "treat"):
        rows = getattr(pathway, table)
        for index in range(len(rows) - 2):
            first, second = rows[index], rows[index + 1]
            if not disjoint(first, second) and not taken_before(rows[:index], first, second):
                order = (*rows[:index], second, first, *rows[index + 2 :])
                yield f"{table}: {first.id} and {second.id} swapped", with_row(pathway, table, order)


EXCLUSIVE = (
    {"b12_deficient", "b12_grey", "b12_above", "b12_unusable", "b12_preliminary", "b12_untested"},
    {"deficient_by_total_only", "b12_grey", "b12_above"},
    {"mma_raised", "mma_normal", "mma_unclear"},
    {"total_low_active_high", "pregnant"},  # in pregnancy active B12 drives where both were taken together (6.1)
    {"on_im_by_dose", "on_im_by_order"},
    {"loading_now", "loading_stopped"},
    {"response_iron", "response_blood"},  # a count without recovery is one without iron deficiency
)
IMPLIES: tuple[tuple[set[str], set[str]], ...] = (  # whoever has all of these has those too: by the definitions (6.1)
    ({"gait"}, {"symptoms"}),
    ({"anaemia_not_iron"}, {"symptoms"}),
    ({"severe"}, {"symptoms"}),
    ({"megaloblastic_signs"}, {"symptoms"}),
    ({"high_risk"}, {"lasting_risk"}),
    ({"low_in_context"}, {"b12_deficient", "deficient_by_total_only"}),
    ({"pregnant"}, {"pregnant_or_breastfeeding"}),
    ({"must_im_disease"}, {"must_im"}),
    ({"loading_now"}, {"on_im_by_dose"}),
    ({"loading_unfinished"}, {"loading_now"}),
    ({"new_cord"}, {"neuro"}),
    ({"discordant"}, {"b12_above"}),
    ({"b12_above", "mma_raised", "neuro"}, {"discordant"}),
    ({"b12_above", "mma_raised", "megaloblastic"}, {"discordant"}),
    ({"b12_above", "ifab_positive", "megaloblastic"}, {"discordant"}),
)


def with_implied(found: set[str]) -> set[str]:
    """These findings, and those that they imply."""
    while more := set().union(*(then for given, then in IMPLIES if given <= found)) - found:
        found = found | more
    return found


def ways(row: Row) -> list[set[str]]:
    """The findings by which a row can hold: its `when`, with each of its `any`."""
    return [{*row.when, each} for each in row.any] if row.any else [set(row.when)]


def disjoint(first: Row, second: Row) -> bool:
    """Can no patient match both? By a condition that the other excludes, or by findings that exclude each other."""
    return all(
        bool(with_implied(one) & set(second.unless) or with_implied(other) & set(first.unless))
        or exclusive(one | other)
        for one in ways(first)
        for other in ways(second)
    )


def exclusive(found: set[str]) -> bool:
    """Do two of these findings exclude each other?"""
    return any(len(group & with_implied(found)) > 1 for group in EXCLUSIVE)


def taken_before(earlier: tuple[Row, ...], first: Row, second: Row) -> bool:
    """Does a row above both take every patient who matches both?"""
    return all(
        any(takes(row, {*one, *other}) for row in earlier) or exclusive(one | other)
        for one in ways(first)
        for other in ways(second)
    )


def takes(row: Row, found: set[str]) -> bool:
    """Does the row hold for whoever has these findings, whatever else is found?"""
    found = with_implied(found)
    return set(row.when) <= found and not row.unless and (not row.any or bool(set(row.any) & found))


@dataclass(frozen=True)
class Tried:
    """A vignette, the limits that its decision looks up, and what is found in it before and after the decision."""

    told: Told
    limits: set[str]
    found: tuple[set[str], ...]


def limits_read(each: Told, pathway: Pathway) -> set[str]:
    """The limits that a vignette's decision looks up: no other can change it."""
    watched = replace(pathway, thresholds=dict(pathway.thresholds))
    limits = WatchedLimits({name: threshold.value for name, threshold in pathway.thresholds.items()})
    object.__setattr__(watched, "limits", limits)
    decide_with(each, watched)
    return limits.read


def moved(changed: Pathway, pathway: Pathway) -> set[str]:
    return {name for name, limit in changed.thresholds.items() if limit.value != pathway.thresholds[name].value}


def holds(each: Row | Choice, found: set[str]) -> bool:
    return (
        found.issuperset(each.when) and found.isdisjoint(each.unless) and not (each.any and found.isdisjoint(each.any))
    )


def answered_by(row: Row, found: set[str]) -> tuple[object, ...] | None:
    """What a row answers where these were found: what it chooses, and how loudly it speaks. None: it does not hold."""
    if not holds(row, found):
        return None
    chosen = [(name, each.id) for name in ("tests", "regimens") for each in getattr(row, name) if holds(each, found)]
    louder = [target for target, names in (*row.raised, *row.treat_when) if not found.isdisjoint(names)]
    return chosen, louder, found.isdisjoint(row.no_card)


def rank(changed: Pathway, pathway: Pathway) -> Callable[[Tried], int]:
    """Which vignettes to try first: those at the edge of a changed limit, by their names; by what is found in them
    (before and after the decision) those on which a changed row answers otherwise, then those on which it holds."""
    limits = moved(changed, pathway)
    rows = [
        pair
        for table in TABLES
        for pair in zip(getattr(pathway, table), getattr(changed, table), strict=True)
        if pair[0] is not pair[1]
    ]

    def place(tried: Tried) -> int:
        name = tried.told.vignette.name
        if limits:
            return 0 if any(limit in name for limit in limits) else 1 if name.startswith(EDGES) else 2
        answers = [(answered_by(old, each), answered_by(new, each)) for old, new in rows for each in tried.found]
        if any(old != new for old, new in answers):
            return 0
        return 1 if any(old is not None for old, _ in answers) else 2

    return place


def found_in(each: Told, pathway: Pathway) -> tuple[set[str], ...]:
    """What is found before any row is chosen, and after."""
    return set(each.assessment.findings), set(decide_with(each, pathway).findings)


def survivors(mutants: Iterator[tuple[str, Pathway]], tried: list[Tried], pathway: Pathway) -> list[str]:
    """The changes that no vignette notices. A limit is tried on the vignettes that look it up."""
    found = []
    for name, changed in mutants:
        limits = moved(changed, pathway)
        asked = sorted((each for each in tried if not limits or limits & each.limits), key=rank(changed, pathway))
        if not any(faults(decide_with(each.told, changed), each.told.vignette) for each in asked):
            found.append(name)
    return found


@pytest.fixture(scope="module", params=PATHWAYS)
def tellings(request):
    pathway = content().pathways[request.param]
    every = told(request.param)
    wrong = [each.vignette.name for each in every if faults(decide_with(each, pathway), each.vignette)]
    assert not wrong, "they would notice every change, and none"
    return pathway, [Tried(each, limits_read(each, pathway), found_in(each, pathway)) for each in every]


def test_what_the_findings_are_said_to_imply_or_exclude_holds_of_every_vignette(tellings):
    for each in (tried.told for tried in tellings[1]):
        found = set(each.assessment.findings)
        assert with_implied(found) == found, each.vignette.name
        assert not exclusive(found), each.vignette.name


@pytest.mark.parametrize("change", [moved_thresholds, without_conditions, swapped], ids=lambda change: change.__name__)
def test_every_small_change_breaks_a_vignette(change, tellings):
    pathway, every = tellings
    assert survivors(change(pathway), every, pathway) == []
