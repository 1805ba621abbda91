"""The decision about orders (6.5): every row of the orders table that holds, and the check of a B12 order.

The order is compared with the regimens that the pathway would choose. What differs is named by keys of messages.toml
[difference]; it becomes findings and words, and the suggestion of its row replaces the clinician's draft. The drafts of
one session are one plan: the loading doses may be an order of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from .advice import REMOVAL, TREATING, Advice, Draft, Writer, first_match, listed_regimens, matches, row_name
from .case import Because
from .composing import composed
from .course import by_injection
from .decide import REGIMEN_FIRST, Decision, advice_of, id_of, note_staleness, one_regimen, state_of, treatment, urgency
from .findings import RESTS_ON, Assessment, Finding
from .ordered import of_group
from .record import Order
from .tables import Limits, Pathway, Phase, Regimen
from .wording import Values

DIFFERS, UNSURE, SECOND = "order_differs", "order_unchecked", "order_second_choice"
WEEK = Decimal(7)
DAYS = {"d": Decimal(1), "wk": WEEK, "mo": Decimal("30.4375"), "a": Decimal("365.25")}
MICROGRAMS = {"mg": Decimal(1000), "microgram": Decimal(1)}
LIFELONG, PREVENTION = "course/lifelong", "course/bariatric"
UNCHECKED = "unchecked"
DOSE_UNCLEAR = "dose-unclear"
BY_MOUTH_ALONE = "by-mouth-alone"  # it fits, and an injection that fits comes first


def decide_orders(assessment: Assessment, pathway: Pathway) -> Decision:
    """All rows of the orders table that hold; the label is that of the interpretation."""
    found, values = dict(assessment.findings), assessment.values.also()
    interpret = first_match(pathway.interpret, found)
    note_staleness(interpret, found)
    course = id_of(state_of(pathway, found))
    if "out_of_scope" in found:
        return Decision(interpret.label, (), (), found, course)
    checker = Writer(assessment.case, pathway, found, values)
    fit = fit_for(checker, treatment(interpret, found))
    differing = check_orders(checker, fit)
    note_differences(differing, found, values, pathway)
    values["fitting"] = listed_regimens(fit.regimens, pathway)
    writer = Writer(assessment.case, pathway, found, values)
    rows = [row for row in pathway.orders if matches(row, found)]
    checking = {row_name(row): name for row in rows for name in (DIFFERS, SECOND) if name in row.when}
    advice = composed(one_regimen(advice_of(writer, rows)))
    advice = [
        with_replacements(each, [one for one in differing if finding_of(one) == checking[each.row]])
        if each.row in checking
        else each
        for each in advice
    ]
    removing = {row_name(row): found[row.removes] for row in rows if row.removes in found}
    advice = [with_removals(each, removing[each.row]) if each.row in removing else each for each in advice]
    advice = advice or unseen(writer)
    spoken = tuple(sorted(advice, key=urgency))
    return Decision(interpret.label, tuple(row_name(row) for row in rows), spoken, found, course)


def note_differences(differing: list[Difference], found: dict[str, Finding], values: Values, pathway: Pathway) -> None:
    """Findings order_differs, order_unchecked and order_second_choice, and the words of {differences}."""
    reasons: dict[str, list[Because]] = {DIFFERS: [], UNSURE: [], SECOND: []}
    for each in differing:
        texts = [pathway.messages[f"difference.{key}"] for key in each.keys]
        reasons[finding_of(each)] += [Because(each.order.reference, text) for text in texts]
    found.update((name, Finding(name, tuple(because))) for name, because in reasons.items() if because)
    words = dict.fromkeys(each.text for because in reasons.values() for each in because)
    values["differences"] = "\n".join(f"- {text}" for text in words)


def finding_of(difference: Difference) -> str:
    """The finding that a difference makes."""
    if difference.keys == (BY_MOUTH_ALONE,):
        return SECOND
    return UNSURE if {*difference.keys} <= {UNCHECKED, DOSE_UNCLEAR} else DIFFERS


def with_replacements(advice: Advice, differing: list[Difference]) -> Advice:
    """The advice on the regimen, with the drafts that replace the clinician's own."""
    drafts = [Draft("medicine", each.regimen.id, each.order.reference) for each in differing if each.regimen]
    return replace(advice, drafts=(*advice.drafts, *dict.fromkeys(drafts)))


def with_removals(advice: Advice, orders: Finding) -> Advice:
    """The advice, and a suggestion for each of the clinician's own orders that may go for now."""
    drafts = [Draft(REMOVAL, each.text, each.reference) for each in orders.because if each.reference]
    return replace(advice, drafts=(*advice.drafts, *dict.fromkeys(drafts)))


def unseen(writer: Writer) -> list[Advice]:
    """No row holds. Where something that a row may rest on could not be read, the card that says so."""
    found, record = writer.found, writer.case.record
    missing = [each.text for each in found["record_incomplete"].because] if "record_incomplete" in found else []
    if "cobalamin_ordered" in found and record.unread(frozenset({"allergies"})):
        missing.append(writer.pathway.messages["prefetch.allergies"])
    if not missing:
        return []
    writer.values = writer.values.also(missing=", ".join(missing))
    return [writer.fixed(writer.pathway.fixed["incomplete"])]


# --- The check of a B12 order


@dataclass(frozen=True, slots=True)
class Fit:
    """The regimens that fit this patient; none where an order is not judged."""

    regimens: Sequence[Regimen] = ()
    neuro: bool = False  # loading goes on until there is no further improvement
    untreated: bool = False  # deficient and not treated yet: the loading doses come first
    on_injections: bool = False  # renewals are not judged, tablets in place of injections are


@dataclass(frozen=True, slots=True)
class Difference:
    """What is wrong with one order, by keys, and the regimen that would replace it (None: nothing may be drafted)."""

    order: Order
    keys: tuple[str, ...]
    regimen: Regimen | None


def fit_for(writer: Writer, treat: str) -> Fit:
    """The regimens of the row whose regimen an answer would carry. Prevention alone is not judged."""
    found, pathway = writer.found, writer.pathway
    if "on_im" in found:
        return fit_on_injections(writer)
    rows = {row_name(row): row for row in pathway.safety if row.regimens and matches(row, found)}
    if treat in TREATING:
        rows["treat"] = first_match(pathway.treat, found)
    for row in state_of(pathway, found):
        if row_name(row) != PREVENTION or "course_loading" in found or "neuro" in found:
            rows["course"] = row
    name = next((each for each in REGIMEN_FIRST if each in rows), None)
    if name is None:
        return Fit()
    return Fit(writer.suitable(rows[name]), "neuro" in found, name == "treat" and treat == "now")


def fit_on_injections(writer: Writer) -> Fit:
    """For a patient on lifelong injections: what continues them."""
    unsettled = ("on_im", "neuro", "course_loading")
    settled = {name: finding for name, finding in writer.found.items() if name not in unsettled}
    row = next((row for row in writer.pathway.course if row_name(row) == LIFELONG), None)
    if row is None or not matches(row, settled):
        return Fit()
    upkeep = Writer(writer.case, writer.pathway, settled, writer.values)
    return Fit(upkeep.suitable(row), on_injections=True)


def check_orders(writer: Writer, fit: Fit) -> list[Difference]:
    """The selected B12 orders that differ from what fits, or could not be checked."""
    case, limits = writer.case, writer.pathway.limits
    if not fit.regimens or not all(name in limits for name in RESTS_ON[DIFFERS]):
        return []
    orders = of_group(case.pathway, "cobalamin", case.record.selected)
    plan = of_group(case.pathway, "cobalamin", case.record.selected + case.record.beside)
    injected = [each for each in plan if by_injection(each)]
    if fit.on_injections:
        orders = [each for each in orders if not by_injection(each)]
    differing = []
    for order in orders:
        alike = [each for each in fit.regimens if is_injected(each) == by_injection(order)]
        keys = differences(order, alike, injected, fit, limits)
        if not keys and alone(order, alike, injected, fit):
            first = fit.regimens[0]
            differing.append(Difference(order, (BY_MOUTH_ALONE,), first if writer.may_draft(first) else None))
        elif keys:
            regimen = next((each for each in (*alike, *fit.regimens) if writer.may_draft(each)), None)
            superfluous = regimen is not None and is_drafted(regimen, plan, injected, fit, limits)
            offered = None if fit.on_injections or keys == [UNCHECKED] or superfluous else regimen
            differing.append(Difference(order, tuple(keys), offered))
    return differing


def alone(order: Order, alike: list[Regimen], injected: list[Order], fit: Fit) -> bool:
    """Is the order by mouth, the only one, and the first of the regimens that fit an injection?"""
    return is_injected(fit.regimens[0]) and bool(alike) and not by_injection(order) and not injected


def is_drafted(regimen: Regimen, plan: list[Order], injected: list[Order], fit: Fit, limits: Limits) -> bool:
    """Is there an order in the plan that fits already? Then a suggestion would order the same a second time."""
    alike = [each for each in fit.regimens if is_injected(each) == is_injected(regimen)]
    same_route = [each for each in plan if by_injection(each) == is_injected(regimen)]
    return any(is_comparable(each) and not differences(each, alike, injected, fit, limits) for each in same_route)


def differences(order: Order, alike: list[Regimen], injected: list[Order], fit: Fit, limits: Limits) -> list[str]:
    """Route, substance, dose and schedule of one order. `alike` are the regimens of its route."""
    if not order.route and not by_injection(order) and len(alike) < len(fit.regimens):
        return [UNCHECKED]
    if order.route == "nasal" and not fit.on_injections:
        return ["route-nasal"]
    if not alike:
        return ["route-injection" if by_injection(order) else "route-oral"]
    fitting = {name for each in alike for name in (each.ingredient, *each.also)}
    found = [] if order.ingredient in fitting else ["substance"]
    if order.route == "iv":
        found.append("route-iv")
    if not is_comparable(order):
        return [*found, UNCHECKED]
    if too_little(order, alike[0]):
        found.append("dose")
    elif too_much(order, alike, limits):
        found.append("dose-high")
    elif by_injection(order) and order.phases[0].dose is None:
        found.append(DOSE_UNCLEAR)
    if by_injection(order):
        found += schedule_differences(order, alike[0].phases[0], injected, fit, limits)
    return found


def schedule_differences(order: Order, wanted: Phase, injected: list[Order], fit: Fit, limits: Limits) -> list[str]:
    """Are the loading doses there, somewhere in the plan, often enough and for long enough?"""
    if not is_often(interval(wanted), limits) or not (fit.neuro or fit.untreated):
        return []
    loading = [each for each in injected if is_comparable(each) and is_often(each.phases[0].interval, limits)]
    if not loading:
        if not all(is_comparable(each) for each in injected):
            return [UNCHECKED]
        return ["slow" if fit.neuro else "loading"]
    if fit.neuro and order in loading and all(is_short(each, wanted, limits) for each in loading):
        return ["limited"]
    return []


def is_comparable(order: Order) -> bool:
    """Is it said how often the first doses come, not in words alone, and not only when needed?"""
    first = order.phases[0] if order.phases else None
    return first is not None and first.interval is not None and not (first.in_words or first.as_needed)


def is_often(days: Decimal | None, limits: Limits) -> bool:
    """Doses as close together as loading doses are."""
    return days is not None and days * limits["loading-doses"] <= WEEK


def is_short(order: Order, wanted: Phase, limits: Limits) -> bool:
    """Do the loading doses of the order end too soon? A pathway whose own end by themselves states no number for it;
    and who orders the loading phase of the regimen that fits ends it no sooner than that does."""
    loading = [phase.days for phase in order.phases if is_often(phase.interval, limits)]
    days = [each for each in loading if each is not None]
    if "loading-short" not in limits or len(days) < len(loading):
        return False
    return sum(days) <= limits["loading-short"] and (wanted.duration is None or sum(days) < lasting(wanted.duration))


def lasting(duration: tuple[Decimal, str]) -> Decimal:
    """A duration in days."""
    number, unit = duration
    return number * DAYS[unit]


def is_injected(regimen: Regimen) -> bool:
    return regimen.phases[0].route != "oral"


def too_little(order: Order, regimen: Regimen) -> bool:
    """Less in a dose (injections), or less in a day (by mouth), than the lowest dose that counts as the regimen's."""
    wanted = regimen.phases[0]
    needed = (regimen.least_dose or wanted.dose) * MICROGRAMS[wanted.dose_unit]
    if by_injection(order):
        dose = order.phases[0].dose
        return dose is not None and dose < needed
    return order.per_day is not None and order.per_day < needed / interval(wanted)


def too_much(order: Order, regimens: list[Regimen], limits: Limits) -> bool:
    """Many times what the strongest of the regimens gives in the same time: a slip of the unit or of the timing. By
    mouth many more: 1 mg where 50 micrograms are enough is none."""
    most = "excess-injected" if by_injection(order) else "excess-by-mouth"
    first = order.phases[0]
    given = None if order.per_day is None else Fraction(order.per_day)
    if first.dose is not None and first.interval:
        given = Fraction(first.dose) / Fraction(first.interval)
    strongest = max(
        Fraction(each.dose_high or each.dose) * Fraction(MICROGRAMS[each.dose_unit]) / Fraction(interval(each))
        for each in firsts(regimens)
    )
    return most in limits and given is not None and given > strongest * Fraction(limits[most])


def firsts(regimens: list[Regimen]) -> list[Phase]:
    """The first phase of each, the one in which most is given."""
    return [each.phases[0] for each in regimens]


def interval(phase: Phase) -> Decimal:
    """Days between two doses of a phase."""
    return phase.period * DAYS[phase.period_unit] / phase.frequency
