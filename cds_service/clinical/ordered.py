"""What the orders of this call mean for this patient (6.5): the findings that the orders table asks for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from .b12 import symptoms_since
from .case import MARKERS, Because, Case, written
from .exposures import WEEKLY, exposed, since
from .limits import days_before
from .problems import first_seen
from .record import Order
from .tables import Pathway
from .treatment import PARENTERAL, by_injection, cobalamins, taken_on, treated_on

TOTAL_B12 = "b12-total"
B12_TESTS = (TOTAL_B12, "b12-active")


def concerns(order: Order, pathway: Pathway) -> bool:
    """Could any row of the orders table be about this order? If none of a call does, its record is not even read."""
    if order.orderable:
        return order.orderable == TOTAL_B12
    if any(of_group(pathway, group, (order,)) for group in ("box2", "nitrous")):
        return True
    if of_group(pathway, "folic", (order,)):
        return is_treatment(pathway, order)
    if of_group(pathway, "chloramphenicol", (order,)):
        return order.route in PARENTERAL
    return bool(cobalamin_products(pathway, (order,)))


def assess_orders(case: Case) -> None:
    """Every finding about the selected orders; the other drafts are context."""
    if not case.record.selected:
        return
    assess_medicines(case)
    assess_tests(case)
    assess_monitoring(case)
    assess_repeat(case)
    assess_folic_order(case)
    assess_sample(case)


def of_group(pathway: Pathway, group: str, orders: Iterable[Order]) -> list[Order]:
    """The orders of an ingredient of the group; a multivitamin and a cyanide kit are none of them."""
    ingredients = pathway.groups.get(group, frozenset())
    return [each for each in orders if each.ingredient in ingredients and not each.multivitamin and not each.antidote]


def cobalamin_products(pathway: Pathway, orders: Iterable[Order]) -> list[Order]:
    """Orders of anything that holds a cobalamin, multivitamins too: for whoever must not have it, all of it counts."""
    ingredients = pathway.groups.get("cobalamin", frozenset())
    return [each for each in orders if each.ingredient in ingredients and not each.antidote]


def drafts_of(case: Case, *orderables: str) -> list[Order]:
    """The drafts of these tests, selected or beside."""
    return [each for each in case.record.selected + case.record.beside if each.orderable in orderables]


def told(case: Case, orders: Iterable[Order]) -> list[Because]:
    return [Because(each.reference, case.display(each.ingredient)) for each in orders]


def assess_medicines(case: Case) -> None:
    """Which of our medicines are selected."""
    selected, groups = case.record.selected, case.pathway.groups
    for name, group in (("box2_ordered", "box2"), ("nitrous_ordered", "nitrous")):
        case.add(name, told(case, of_group(case.pathway, group, selected)))
    holding = cobalamin_products(case.pathway, selected)
    case.add("cobalamin_ordered", told(case, holding))
    cyano = groups.get("cyanocobalamin", frozenset())
    case.add("cyanocobalamin_ordered", told(case, [each for each in holding if each.ingredient in cyano]))
    blunting = [each for each in of_group(case.pathway, "chloramphenicol", selected) if each.route in PARENTERAL]
    running = [each for each in case.medicines("chloramphenicol") if each.active and each.route in PARENTERAL]
    if blunting and (case.has("cobalamin_taken") or of_group(case.pathway, "cobalamin", selected + case.record.beside)):
        case.add("chloramphenicol_order_blunts", told(case, blunting))
    elif running and of_group(case.pathway, "cobalamin", selected):
        words = [Because(each.reference, case.display(each.ingredient)) for each in running]
        case.add("chloramphenicol_order_blunts", words)


def assess_tests(case: Case) -> None:
    """Is total B12 selected, and is MMA or homocysteine measured, ordered or drafted as well?"""
    tests = [each for each in case.record.selected if each.orderable == TOTAL_B12]
    display = case.pathway.orderables[TOTAL_B12].title
    case.add("b12_total_ordered", [Because(each.reference, display) for each in tests])
    asked = [*drafts_of(case, *MARKERS), *(each for each in case.record.orders if each.orderable in MARKERS)]
    measured = [
        lab
        for lab in (case.mma, case.homocysteine)
        if lab and case.limits.within_days("result-current", lab.date, case.today)
    ]
    case.add("marker_at_hand", [*case.because(*measured), *(Because(each.reference, "ordered") for each in asked)])


def b12_asked_for(case: Case) -> bool:
    """Is a B12 test ordered and not yet done, or among the drafts?"""
    return bool(drafts_of(case, *B12_TESTS)) or any(each.orderable in B12_TESTS for each in case.record.orders)


def assess_monitoring(case: Case) -> None:
    """O1: a medicine that lowers B12, no B12 result in a year, and for whom that matters."""
    if not case.has("box2_ordered"):
        return
    if not case.labs_within("b12", "active-b12", days="result-background") and not b12_asked_for(case):
        case.add("b12_not_measured_for_a_year", (Because("", "no B12 result in the past year"),))
    chosen = {order.ingredient for order in case.record.selected}
    others = [each for each in case.medicines("box2") if exposed(case, each) and each.ingredient not in chosen]
    case.add("other_box2_medicine", [Because(each.reference, since(case, each)) for each in others])
    case.either(
        "other_risk_or_symptom",
        "recorded_risk",
        "nitrous_oxide",
        "other_box2_medicine",
        "irreversible_cause",
        "symptoms",
    )


def assess_repeat(case: Case) -> None:
    """O5, O6: total B12 ordered again although a usable result is recent and nothing has happened since."""
    lab = case.b12
    if not case.has("b12_total_ordered") or lab is None or case.has("b12_stale", "b12_preliminary"):
        return
    if case.has("b12_grey") and case.has("symptoms") and not case.has("marker_at_hand"):
        case.add("b12_repeat_grey_symptoms", case.because(lab))
    if not case.has("on_im", "on_oral") and not happened_after(case, lab.date):
        case.add("b12_repeat_early", case.because(lab))


def happened_after(case: Case, day: date) -> bool:
    """Was B12 begun on that day or since, or is a symptom, a sign in the blood or a cause recorded after it?"""
    treated = any(given >= day for given, _ in case.doses)
    treated = treated or any(each.start is not None and each.start >= day for each in cobalamins(case))
    causes = [each for group in ("risk", "must-im", "bariatric") for each in case.in_group(group)]
    new = [each for each in causes if (first_seen(each) or day) > day]
    return treated or bool(new) or bool(symptoms_since(case, day + timedelta(days=1)))


def assess_folic_order(case: Case) -> None:
    """S2 for folic acid that is ordered: treatment dose or no dose stated, and what it means without B12 cover."""
    folic = of_group(case.pathway, "folic", case.record.selected)
    orders = [each for each in folic if is_treatment(case.pathway, each)]
    if not orders or not case.limits.states("folate_order_matters"):
        return
    expecting = case.has("pregnant", "pregnancy_planned")
    uncertain = case.has("b12_grey", "b12_not_known")
    severe = case.has("b12_deficient") or (case.has("neuro") and uncertain)
    matters = severe or case.has("b12_grey") or (case.has("b12_not_known") and case.has("macrocytosis"))
    if not matters:
        return
    begun = begun_now(case)
    if begun:
        case.add("folate_order_after_b12", begun)
    elif case.has("on_im", "on_oral"):
        return
    case.add("folate_order_matters", told(case, orders))
    if not begun:
        case.add("folate_order_warning", told(case, orders))
    if severe and not begun and not expecting:
        case.add("folate_order_critical", told(case, orders))


def is_treatment(pathway: Pathway, order: Order) -> bool:
    """At least the treatment dose a day, or no dose stated; weekly folic acid beside methotrexate is none."""
    phase = order.phases[0] if order.phases else None
    if phase and phase.interval is not None and phase.interval >= WEEKLY:
        return False
    amount = order.per_day if order.per_day is not None else phase.dose if phase else None
    return amount is None or amount >= pathway.limits["folic-treatment"]


def begun_now(case: Case) -> list[Because]:
    """A cobalamin drafted in the same session; or B12 begun today or yesterday, not merely given or renewed then."""
    drafted = told(case, of_group(case.pathway, "cobalamin", case.record.selected + case.record.beside))
    return drafted + [Because(reference, f"B12 begun on {written(day)}") for day, reference in begun_days(case)]


def begun_days(case: Case) -> list[tuple[date, str]]:
    """The days, today or just before, on which B12 was first given or begun, with their references; none if earlier."""
    earliest = days_before(case.today, case.limits.days("b12-begun"))
    if treated_on(case, earliest):
        return []
    counted = [each for each in cobalamins(case) if by_injection(each) or taken_on(case, each, case.today)]
    days = [*case.doses, *((each.start, each.reference) for each in counted if each.start)]
    return [(day, reference) for day, reference in days if earliest <= day <= case.today]


def assess_sample(case: Case) -> None:
    """O8: B12 is to be treated and no usable result, sample or order of one is there."""
    treating = of_group(case.pathway, "cobalamin", case.record.selected)
    if not treating or case.has("on_im", "on_oral"):
        return
    if case.has("b12_untested") and not b12_asked_for(case):
        case.add("treated_before_sample", told(case, treating))
