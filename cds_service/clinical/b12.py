"""Total and active B12 (1.1, 1.6, 6.1): which result drives, and what is said when none can drive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

from .bands import BOUNDS, EDGES, band, doubt, own_range_differs
from .case import B12_ANALYTES, Because, Case, comparable, surely_above, surely_below
from .course import ANSWERED_LIMITS, is_answered, treated_on, treated_since
from .record import LabResult, Measured, measured
from .rules import Found, Rules
from .tables import days_before

SEVERITY = {"deficient": 0, "grey": 1, "above": 2}
HIGH = {"mass": "b12-high-mass", "molar": "b12-high-molar"}
HIGH_LIMITS = " ".join(HIGH.values())

RULES = Rules()
finding, step, any_of = RULES.finding, RULES.step, RULES.any_of

RULES.limit("b12-deficient-mass", "ng/L", "Total B12: deficient below")
RULES.limit("b12-grey-mass", "ng/L", "Total B12: deficiency unlikely above")
RULES.limit("b12-verify-low", "ng/L", "Total B12: ask the laboratory to verify below")
RULES.limit("range-molar-low", "ng/L", "A reference range looks like pmol/L if it begins below")
RULES.limit("range-molar-high", "ng/L", "A reference range looks like pmol/L if it also ends below")
RULES.limit("b12-deficient-molar", "pmol/L", "Total B12: deficient below")
RULES.limit("b12-grey-molar", "pmol/L", "Total B12: deficiency unlikely above")
RULES.limit("active-deficient", "pmol/L", "Active B12: deficient below")
RULES.limit("active-grey", "pmol/L", "Active B12: deficiency unlikely above")
RULES.limit("range-mass-high", "pmol/L", "A reference range looks like ng/L if it ends above")
RULES.limit("result-current", "days", "A B12, MMA or homocysteine result can be acted on for")
RULES.limit("result-background", "days", "A B12, MMA or homocysteine result counts at all for")
RULES.limit("earlier-result", "days", "An earlier B12 result is mentioned if it was taken within")
RULES.limit("active-total-window", "days", "Active and total B12 belong together if taken within")
RULES.limit("b12-high-mass", "ng/L", "Total B12: high above", optional=True)
RULES.limit("b12-high-molar", "pmol/L", "Total B12: high above", optional=True)
RULES.results(*B12_ANALYTES, count_for="result-background")


# --- Which result drives


def within_age(case: Case, lab: LabResult) -> bool:
    return case.limits.within_days("result-background", lab.date, case.today)


def judged_results(case: Case, results: Sequence[LabResult]) -> list[Measured]:
    """Final, plausible and dated, of whatever age."""
    sound = [known for lab in results if not lab.preliminary and not doubt(case, lab) and (known := measured(lab))]
    return [lab for lab in sound if lab.date <= case.today]


def newest_first(case: Case, results: list[Measured]) -> list[Measured]:
    """Newest day first; of one day the lower first, whatever the hour or the reference."""
    return sorted(results, key=lambda lab: (-lab.date.toordinal(), lab.analyte, *lowness(case, lab), lab.reference))


def lowness(case: Case, lab: Measured) -> tuple[int, Decimal]:
    """Sort key among results of one kind and day: by band, then by number where the unit is of the same kind."""
    return SEVERITY[settled(case, lab)], comparable(case, lab)


def moment(lab: LabResult) -> tuple[date, float, str]:
    """Sort key: the day, the moment of that day, and the reference, so that no two are equal."""
    return lab.date or date.min, lab.moment, lab.reference


def untreated(case: Case, usable: list[Measured]) -> list[Measured]:
    """The results taken while no B12 treatment held."""
    return [lab for lab in usable if not treated_on(case, lab.date)]


TREATED = "im-order order-doses order-new oral-dose oral-stopped"


@step(
    "b12_choice",
    follows_from="course oral on_im on_oral neuro pregnant pill",
    limits=f"{EDGES} {TREATED} range-molar-low range-molar-high range-mass-high"
    " result-current result-background earlier-result active-total-window"
    f" {ANSWERED_LIMITS}",
    medicines="cobalamin",
    analytes="b12 active-b12",
)
def choose(case: Case) -> bool:
    """The result that drives: untreated ones, or any while B12 is taken by mouth; then total against active."""
    results = [lab for analyte in B12_ANALYTES for lab in case.labs.get(analyte, ())]
    case.judged_b12 = judged_results(case, results)
    case.usable_b12 = usable = newest_first(case, [lab for lab in case.judged_b12 if within_age(case, lab)])
    case.b12_other = case.b12_earlier = case.b12_newer = case.doubtful_b12 = case.answered_b12 = None
    if not case.has("on_im", "on_oral"):
        usable = without_answered(case, usable)
    driver = chosen_driver(case, usable)
    case.b12 = driver
    case.band = settled(case, driver) if driver else ""
    case.b12_state = "driven" if driver else "masked"
    if not usable:
        note_absence(case, results)
    if driver:
        note_newer(case, results, driver)
    case.old_b12 = background(case)
    return bool(results)


def without_answered(case: Case, usable: list[Measured]) -> list[Measured]:
    """The results that no treatment has answered: what came before a treatment that ended is background."""
    left: list[Measured] = []
    answered: list[Measured] = []
    for lab in usable:
        holds = treated_on(case, lab.date) or not is_answered(case, lab.date)
        (left if holds else answered).append(lab)
    case.answered_b12 = answered[0] if answered else None
    return left


def chosen_driver(case: Case, usable: list[Measured]) -> Measured | None:
    candidates = usable if case.has("on_oral") and not case.has("on_im") else untreated(case, usable)
    chosen = {}
    for analyte in B12_ANALYTES:
        of_kind = [lab for lab in candidates if lab.analyte == analyte]
        if of_kind:
            chosen[analyte] = newest_or_lower(case, of_kind)
    if len(chosen) < 2:
        return next(iter(chosen.values()), None)
    driver, case.b12_other = total_or_active(case, chosen["b12"], chosen["active-b12"])
    return driver


def newest_or_lower(case: Case, results: list[Measured]) -> Measured:
    """The newest of one kind; with NEURO or in pregnancy the lower of it and one taken shortly before."""
    newest = results[0]
    earliest = days_before(newest.date, case.limits.days("earlier-result"))
    others = [lab for lab in results[1:] if lab.date >= earliest and band(case, lab) != band(case, newest)]
    if not others:
        same_day = [lab for lab in results[1:] if lab.date == newest.date and lab.value != newest.value]
        case.b12_earlier = same_day[0] if same_day else case.b12_earlier
        return newest
    lower = min(others, key=lambda lab: rank(case, lab))
    drives = lower if in_danger(case) and rank(case, lower) < rank(case, newest) else newest
    case.b12_earlier = newest if drives is lower else others[0]
    return drives


def in_danger(case: Case) -> bool:
    """NEURO or pregnant: a result that may be deficient counts as deficient."""
    return case.has("neuro", "pregnant")


def rank(case: Case, lab: Measured) -> int:
    """Severity of the band for comparison, the most severe first; a straddling result as what it may be."""
    return SEVERITY[settled(case, lab)]


def settled(case: Case, lab: Measured) -> str:
    """The band that counts: one that may be deficient is deficient with NEURO or in pregnancy, else grey."""
    found = band(case, lab)
    if found != "straddling":
        return found
    return "deficient" if in_danger(case) else "grey"


def total_or_active(case: Case, total: Measured, active: Measured) -> tuple[Measured, Measured]:
    """(the one that drives, the other one)."""
    newer, older = sorted((total, active), key=moment, reverse=True)
    is_current = [case.limits.within_days("result-current", lab.date, case.today) for lab in (newer, older)]
    if case.has("pill", "pregnant"):
        apart = abs((total.date - active.date).days)
        return (active, total) if apart <= case.limits.days("active-total-window") else (newer, older)
    together = all(is_current) or older.date == newer.date
    if together and rank(case, older) < rank(case, newer):
        return older, newer
    return newer, older


def note_absence(case: Case, results: Sequence[LabResult]) -> None:
    """No usable result: the newest is in doubt, or preliminary, or there is none at all."""
    recent = [lab for lab in results if lab.date is None or within_age(case, lab)]
    if case.answered_b12 is not None:
        recent = [lab for lab in recent if lab.date is None or lab.date > case.answered_b12.date]
    newest = max(recent, key=lambda lab: (lab.date is not None, lab.date or case.today, lab.moment), default=None)
    if newest is None:
        case.b12_state = "untested"
    elif newest.preliminary and not doubt(case, newest):
        case.b12, case.b12_state = newest, "preliminary"
    else:
        case.doubtful_b12, case.b12_state = newest, "unusable"


def note_newer(case: Case, results: Sequence[LabResult], driver: Measured) -> None:
    """A newer result than the one that drives, which could not be used."""
    for lab in results:
        newer = lab.date is not None and within_age(case, lab) and moment(lab) > moment(driver)
        newer = newer or lab.doubt == "in-future"
        if newer and doubt(case, lab):
            case.doubtful_b12 = lab
        elif newer and lab.preliminary:
            case.b12_newer = lab


def background(case: Case) -> Measured | None:
    """The newest result that is too old to count."""
    return next(iter(newest_first(case, [lab for lab in case.judged_b12 if not within_age(case, lab)])), None)


def driver_of(case: Case) -> Measured | None:
    """The result that drives, to which every band refers."""
    return measured(case.b12) if case.b12 and case.b12_state == "driven" else None


# --- What is said of it


def of_driver(name: str, words: str, holds: Callable[[Case, Measured], bool], limits: str = "") -> None:
    """A finding about the result that drives; its evidence is that result."""

    @finding(name, words, follows_from="b12_choice", limits=limits)
    def holds_for_driver(case: Case) -> Found:
        lab = driver_of(case)
        return case.because(lab) if lab and holds(case, lab) else None


def is_verified(case: Case, lab: Measured) -> bool:
    """Is a total B12 so low that the laboratory is asked to verify it?"""
    family, value = case.base(lab)
    return lab.analyte == "b12" and family == "mass" and surely_below(lab, value, case.limits["b12-verify-low"])


for (tested, _family), (low_edge, high_edge) in BOUNDS.items():
    RULES.probe("b12_deficient", low_edge, tested, "below")
    RULES.probe("b12_above", high_edge, tested, "above")
RULES.probe("b12_verify", "b12-verify-low", "b12", "below")
of_driver(
    "b12_deficient",
    "B12 is below the limit of deficiency",
    lambda case, lab: case.band == "deficient",
)
of_driver("b12_grey", "B12 is between the two limits: uncertain", lambda case, lab: case.band == "grey")
of_driver("b12_above", "B12 is above the upper limit: deficiency is unlikely", lambda case, lab: case.band == "above")
of_driver(
    "b12_straddling",
    "the B12 result (such as <200) may or may not be below the limit",
    lambda case, lab: band(case, lab) == "straddling",
    EDGES,
)
of_driver("b12_verify", "B12 is so low that the laboratory is asked to verify it", is_verified, "b12-verify-low")
of_driver("b12_range_differs", "the laboratory's own lower limit differs from this pathway's", own_range_differs, EDGES)


RULES.limit("b12-very-low-mass", "ng/L", "Total B12: too low for the pill or pregnancy alone below")
RULES.limit("b12-very-low-molar", "pmol/L", "Total B12: too low for the pill or pregnancy alone below")
RULES.probe("very_low", "b12-very-low-mass", "b12", "below")
RULES.probe("very_low", "b12-very-low-molar", "b12", "below")


def is_very_low(case: Case, lab: Measured) -> bool:
    """A total B12 that is surely below what the pill or pregnancy explains, in the unit that was reported."""
    family, value = case.base(lab)
    return lab.analyte == "b12" and surely_below(lab, value, case.limits[f"b12-very-low-{family}"])


of_driver(
    "very_low",
    "total B12 is too low for the pill or pregnancy alone",
    is_very_low,
    "b12-very-low-mass b12-very-low-molar",
)


@finding("never_measured", "no B12 result of any age is recorded", analytes="b12 active-b12", of_nothing=True)
def never_measured(case: Case) -> Found:
    known = any(lab.doubt != "pending" for analyte in B12_ANALYTES for lab in case.labs.get(analyte, ()))
    return None if known else (Because("", case.words("no-b12-ever")),)


@finding(
    "total_low_active_high",
    "total B12 is deficient and active B12 above the uncertain range, taken together",
    follows_from="b12_choice",
    limits="active-total-window",
)
def total_low_active_high(case: Case) -> Found:
    lab, other = driver_of(case), case.b12_other
    if lab is None or other is None or lab.analyte != "b12" or case.band != "deficient":
        return None
    apart = abs((lab.date - other.date).days) <= case.limits.days("active-total-window")
    return case.because(lab, other) if apart and settled(case, other) == "above" else None


@finding(
    "b12_stale",
    "the B12 result is too old to act on before it is repeated",
    follows_from="b12_choice",
    limits="result-current",
)
def b12_stale(case: Case) -> Found:
    lab = driver_of(case)
    is_current = lab and case.limits.within_days("result-current", lab.date, case.today)
    return None if is_current else case.because(lab)


@finding("b12_active_measured", "active B12 was measured", follows_from="b12_choice")
def b12_active_measured(case: Case) -> Found:
    active = [lab for lab in case.usable_b12 if lab.analyte == "active-b12"]
    return case.because(*active[:1]) if driver_of(case) else None


@finding("deficient_by_total_only", "B12 is deficient by total B12 alone, not by active B12", follows_from="b12_choice")
def deficient_by_total_only(case: Case) -> Found:
    lab = driver_of(case)
    if lab is None or lab.analyte != "b12" or case.band != "deficient":
        return None
    also = case.b12_other and settled(case, case.b12_other) == "deficient"
    return None if also else case.because(lab)


@finding("b12_discordant", "total and active B12 do not agree", follows_from="b12_choice")
def b12_discordant(case: Case) -> Found:
    lab, other = driver_of(case), case.b12_other
    return case.because(lab, other) if lab and other and settled(case, other) != case.band else None


@finding("b12_earlier_differs", "another recent B12 result was in another range", follows_from="b12_choice")
def b12_earlier_differs(case: Case) -> Found:
    return case.because(case.b12_earlier)


@finding("b12_untested", "there is no B12 result that is recent enough", follows_from="b12_choice", of_nothing=True)
def b12_untested(case: Case) -> Found:
    return (Because("", case.words("no-b12")),) if case.b12_state == "untested" else None


@finding("b12_preliminary", "there is only a preliminary B12 result", follows_from="b12_choice")
def b12_preliminary(case: Case) -> Found:
    return case.because(case.b12) if case.b12_state == "preliminary" else None


@finding("b12_unusable", "the newest B12 result is in doubt and there is no other", follows_from="b12_choice")
def b12_unusable(case: Case) -> Found:
    return case.because(case.doubtful_b12) if case.b12_state == "unusable" else None


@finding(
    "b12_masked",
    "every B12 result was taken under treatment, and so does not show the untreated state",
    follows_from="b12_choice",
)
def b12_masked(case: Case) -> Found:
    return case.because(case.usable_b12[0]) if case.b12_state == "masked" else None


any_of(
    "b12_not_known",
    "no B12 result can be used: none, preliminary, in doubt, or taken under treatment",
    "b12_untested",
    "b12_preliminary",
    "b12_unusable",
    "b12_masked",
)


@finding("newer_in_doubt", "a newer B12 result is in doubt and was not used", follows_from="b12_choice")
def newer_in_doubt(case: Case) -> Found:
    return case.because(case.doubtful_b12) if case.b12_state == "driven" else None


@finding("newer_preliminary", "a newer B12 result is only preliminary and was not used", follows_from="b12_choice")
def newer_preliminary(case: Case) -> Found:
    return case.because(case.b12_newer)


@finding("old_b12", "there is an old B12 result, too old to count", follows_from="b12_choice")
def old_b12(case: Case) -> Found:
    return case.because(case.old_b12)


@finding(
    "was_deficient",
    "the old B12 result was deficient, and no treatment is recorded since",
    follows_from="b12_choice pill pregnant course",
    medicines="cobalamin",
)
def was_deficient(case: Case) -> Found:
    """The old result was deficient (not by total alone on the pill or in pregnancy), and was never treated since."""
    lab = case.old_b12
    if lab is None or (lab.analyte == "b12" and case.has("pill", "pregnant")):
        return None
    return case.because(lab) if settled(case, lab) == "deficient" and not treated_since(case, lab.date) else None


@finding("b12_incomplete", "not all B12 results could be read", reads="whether all B12 results could be read")
def b12_incomplete(case: Case) -> Found:
    return (Because("", case.words("b12-in-part")),) if "b12" in case.record.incomplete else None


any_of(
    "no_medicine_draft",
    "the medicines, or some of the B12 results, could not be read: no medicine is drafted",
    "medicines_unknown",
    "b12_incomplete",
)


@finding(
    "b12_high_twice",
    "the two newest B12 results are above the high limit, and no B12 is taken",
    follows_from="on_im on_oral cobalamin_taken b12_choice",
    limits=HIGH_LIMITS,
)
def b12_high_twice(case: Case) -> Found:
    """The two newest total B12 of different days above the high limit, no B12 taken, not even in a multivitamin."""
    if case.has("on_im", "on_oral", "cobalamin_taken"):
        return None
    results = untreated(case, [lab for lab in case.usable_b12 if lab.analyte == "b12"])
    by_day = {lab.date: lab for lab in reversed(results)}
    newest = [by_day[day] for day in sorted(by_day, reverse=True)[:2]]
    return case.because(*newest) if len(newest) == 2 and all(is_high(case, lab) for lab in newest) else None


def is_high(case: Case, lab: Measured) -> bool:
    """Surely above the high limit, in the unit that was reported."""
    family, value = case.base(lab)
    return surely_above(lab, value, case.limits[HIGH[family]])
