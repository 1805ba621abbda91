"""Loading (6.3.1): the newest run of injections as a loading phase, how far it has come, and whether it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from .b12 import settled
from .case import Because, Case
from .course import Run, injections, runs, treated_on
from .problems import NEURO_PARTS, first_seen, neurological
from .rules import Found, Rules
from .tables import months_before

RULES = Rules()
finding, step = RULES.finding, RULES.step

RULES.limit("loading-few", "doses", "Stopped loading is a warning with fewer doses than")


@dataclass(frozen=True, slots=True)
class Loading:
    """The newest run as a loading phase: its doses, whether one of the reasons holds, whether it is complete."""

    run: Run
    is_meant: bool
    is_complete: bool


@step(
    "loading_phase",
    follows_from="course on_im_by_dose neuro must_im b12_choice",
    limits="symptom-current loading-result loading-coded loading-order loading-interval loading-count loading-days"
    " loading-days-neuro im-order order-doses order-new oral-dose oral-stopped",
    problems=f"coded must-im {NEURO_PARTS}",
    medicines="cobalamin",
)
def loading_phase(case: Case) -> bool:
    run = case.course.run
    case.loading = None
    if run is None or not case.has("on_im_by_dose"):
        return False
    is_meant = meant_by_result(case, run) or meant_by_signs(case, run) or meant_by_order(case, run)
    if run.count >= 2 or (run.first == case.course.start and is_meant):
        case.loading = Loading(run, is_meant, is_complete(case, run))
    return case.loading is not None


def is_complete(case: Case, run: Run) -> bool:
    """Enough doses over enough days."""
    limits, days = case.limits, (run.last - run.first).days
    names = ("loading-days", *(("loading-days-neuro",) if case.has("neuro") else ()))
    least = max((limits.days(name) for name in names if name in limits), default=0)
    return run.count >= limits.days("loading-count") and days >= least


def meant_by_result(case: Case, run: Run) -> bool:
    """An untreated deficient or grey result not long before the first dose, or on its day."""
    earliest = run.first - timedelta(days=case.limits.days("loading-result"))
    return any(
        earliest <= lab.date <= run.first and settled(case, lab) != "above" and not treated_on(case, lab.date)
        for lab in case.usable_b12
    )


def meant_by_signs(case: Case, run: Run) -> bool:
    """NEURO was recorded by the first dose of the course, and no deficiency or lasting cause long before it."""
    signs = any((first_seen(each) or run.first) <= run.first for each in neurological(case))
    if run.first != case.course.start or not signs:
        return False
    long_before = months_before(run.first, case.limits.days("loading-coded"))
    known = case.in_group("coded") + case.in_group("must-im")
    return not any((first_seen(each) or date.max) < long_before for each in known)


def meant_by_order(case: Case, run: Run) -> bool:
    """An order with a loading phase was written not long before the first dose."""
    earliest = run.first - timedelta(days=case.limits.days("loading-order"))
    often = case.limits["loading-interval"]
    return any(
        each.source == "order"
        and each.shortest is not None
        and each.shortest <= often
        and each.start is not None
        and earliest <= each.start <= run.first
        for each in injections(case)
    )


def dose_of(case: Case) -> list[Because]:
    return list(case.joined(("on_im_by_dose",)))


def gap(case: Case, run: Run) -> int:
    """Days since the last dose."""
    return (case.today - run.last).days


@finding(
    "loading_now",
    "the doses of a loading phase are being given",
    follows_from="loading_phase on_im_by_dose",
    limits="loading-gap",
)
def loading_now(case: Case) -> Found:
    running = case.loading and gap(case, case.loading.run) <= case.limits.days("loading-gap")
    return dose_of(case) if running else None


@finding(
    "loading_unfinished",
    "fewer doses have been given than loading has",
    follows_from="loading_phase loading_now on_im_by_dose",
    limits="loading-count",
)
def loading_unfinished(case: Case) -> Found:
    few = case.loading and case.loading.run.count < case.limits.days("loading-count")
    return dose_of(case) if few and case.has("loading_now") else None


@finding(
    "loading_review_due",
    "loading with neurological signs has gone on for as long as to be reviewed",
    follows_from="loading_phase loading_now on_im_by_dose",
    limits="loading-review",
)
def loading_review_due(case: Case) -> Found:
    days = (case.today - case.loading.run.first).days if case.loading else 0
    return dose_of(case) if case.has("loading_now") and days >= case.limits.days("loading-review") else None


@finding(
    "loading_stopped",
    "loading has stopped before it was complete",
    follows_from="loading_phase loading_now on_im_by_dose",
)
def loading_stopped(case: Case) -> Found:
    phase = case.loading
    if phase is None or phase.is_complete or case.has("loading_now"):
        return None
    return dose_of(case) if phase.run.count >= 3 or phase.is_meant else None


@finding(
    "loading_hardly_begun",
    "loading has stopped after a few doses, or before its last with neurological signs",
    follows_from="loading_phase loading_stopped neuro",
    limits="loading-count loading-few",
)
def loading_hardly_begun(case: Case) -> Found:
    if not case.loading or not case.has("loading_stopped"):
        return None
    enough = case.limits.days("loading-count" if case.has("neuro") else "loading-few")
    return case.joined(("loading_stopped",)) if case.loading.run.count < enough else None


@finding(
    "loading_incomplete_ever",
    "loading was begun once, and never completed",
    follows_from="course neuro",
    limits="run-gap loading-count loading-days loading-days-neuro",
)
def loading_incomplete_ever(case: Case) -> Found:
    days = [day for day, _ in case.course.doses]
    every = [Run(len(each), each[0], each[-1]) for each in runs(days, case.limits.days("run-gap"))]
    begun = [each for each in every if each.count >= 2]
    if not begun or any(is_complete(case, each) for each in begun):
        return None
    return (Because(case.course.doses[-1][1], case.words("doses", n=begun[-1].count)),)
