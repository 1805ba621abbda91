"""What the orders of this call mean for this patient (6.5): the findings that the orders table asks for."""

from __future__ import annotations

from .case import Because, Case
from .exposures import WEEKLY, exposed, since
from .limits import days_before
from .problems import first_seen
from .record import Order
from .treatment import PARENTERAL

TOTAL_B12 = "b12-total"


def assess_orders(case: Case) -> None:
    """Every finding about the selected orders; the other drafts are context."""
    if not case.record.selected:
        return
    ordered_medicines(case)
    ordered_tests(case)
    assess_monitoring(case)
    assess_repeat(case)
    assess_folic_order(case)
    assess_sample(case)


def of_group(case: Case, group: str, orders: tuple[Order, ...]) -> list[Order]:
    """The orders of an ingredient of the group; a multivitamin and a cyanide kit are none of them."""
    ingredients = case.pathway.groups.get(group, frozenset())
    return [each for each in orders if each.ingredient in ingredients and not each.multivitamin and not each.antidote]


def told(case: Case, orders: list[Order]) -> list[Because]:
    return [Because(each.reference, case.display(each.ingredient)) for each in orders]


def by_injection(order: Order) -> bool:
    """Ordered as an injection; hydroxocobalamin of no stated route is one."""
    return order.route in PARENTERAL or (not order.route and order.ingredient == "hydroxocobalamin")


def ordered_medicines(case: Case) -> None:
    """Which of our medicines are selected."""
    selected = case.record.selected
    for name, group in (
        ("box2_ordered", "box2"),
        ("metformin_ordered", "metformin"),
        ("cobalamin_ordered", "cobalamin"),
        ("cyanocobalamin_ordered", "cyanocobalamin"),
        ("nitrous_ordered", "nitrous"),
    ):
        case.add(name, told(case, of_group(case, group, selected)))
    chloramphenicol = [each for each in of_group(case, "chloramphenicol", selected) if each.route in PARENTERAL]
    running = [each for each in case.medicines("chloramphenicol") if each.active and each.route in PARENTERAL]
    if chloramphenicol and (case.has("cobalamin_taken") or of_group(case, "cobalamin", selected + case.record.beside)):
        case.add("chloramphenicol_order_blunts", told(case, chloramphenicol))
    elif running and case.has("cobalamin_ordered"):
        words = [Because(each.reference, case.display(each.ingredient)) for each in running]
        case.add("chloramphenicol_order_blunts", words)


def ordered_tests(case: Case) -> None:
    """Is total B12 selected?"""
    tests = [each for each in case.record.selected if each.orderable == TOTAL_B12]
    display = case.pathway.orderables[TOTAL_B12].title
    case.add("b12_total_ordered", [Because(each.reference, display) for each in tests])


def assess_monitoring(case: Case) -> None:
    """O1: a medicine that lowers B12, no B12 result in a year, and for whom that matters."""
    if not case.has("box2_ordered"):
        return
    if not case.labs_within("b12", "active-b12", days="result-background"):
        case.add("b12_not_measured_for_a_year", (Because("", "no B12 result in the past year"),))
    chosen = {order.ingredient for order in case.record.selected}
    others = [each for each in case.medicines("box2") if exposed(case, each)]
    others = [each for each in others if each.ingredient not in chosen]
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
    if case.has("b12_grey") and case.has("symptoms"):
        case.add("b12_repeat_grey_symptoms", case.because(lab))
    treated = [day for day, _ in case.doses if day >= lab.date]
    treated += [entry.start for entry in case.medicines("cobalamin") if entry.start and entry.start >= lab.date]
    new = [
        each for each in case.in_group("symptom") + case.in_group("neuro") if (first_seen(each) or lab.date) > lab.date
    ]
    if not treated and not new and not case.has("on_im", "on_oral"):
        case.add("b12_repeat_early", case.because(lab))


def assess_folic_order(case: Case) -> None:
    """S2 for folic acid that is ordered: treatment dose or no dose stated, and what it means without B12 cover."""
    orders = [each for each in of_group(case, "folic", case.record.selected) if is_treatment(case, each)]
    if not orders:
        return
    case.add("folate_ordered", told(case, orders))
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


def is_treatment(case: Case, order: Order) -> bool:
    """At least the treatment dose a day, or no dose stated; weekly folic acid beside methotrexate is none."""
    phase = order.phases[0] if order.phases else None
    if phase and phase.interval is not None and phase.interval >= WEEKLY:
        return False
    amount = order.per_day if order.per_day is not None else phase.dose if phase else None
    return amount is None or amount >= case.limits["folic-treatment"]


def begun_now(case: Case) -> list[Because]:
    """A cobalamin drafted in the same session, or B12 begun today or yesterday."""
    drafted = of_group(case, "cobalamin", case.record.selected + case.record.beside)
    yesterday = days_before(case.today, 1)
    days = [(day, reference) for day, reference in case.doses[:1] if day >= yesterday]
    days += [
        (each.start, each.reference) for each in case.medicines("cobalamin") if each.start and each.start >= yesterday
    ]
    return told(case, drafted) + [Because(reference, "B12 begun") for _, reference in days]


def assess_sample(case: Case) -> None:
    """O8: B12 is to be treated and no usable result, sample or order of one is there."""
    if not case.has("cobalamin_ordered") or case.has("on_im", "on_oral", "lapsed"):
        return
    asked = [each for each in case.record.orders if each.orderable in (TOTAL_B12, "b12-active")]
    asked += [each for each in case.record.selected + case.record.beside if each.orderable in (TOTAL_B12, "b12-active")]
    if case.has("b12_untested") and not asked:
        case.add("treated_before_sample", case.found["cobalamin_ordered"])
