"""What the orders of this call mean for this patient (6.5): the findings that the orders table asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta

from .b12 import TREATED, driver_of, settled
from .bands import EDGES
from .case import MARKERS, ORDERS, Because, Case
from .course import PARENTERAL, by_injection, cobalamins, taken_on, treated_on
from .monitoring import symptoms_since
from .problems import NEURO_PARTS, first_seen
from .record import Measured, Order
from .rules import Found, Make, Rules
from .tables import Pathway, days_before
from .treatment import WEEKLY, exposed, ingredient_evidence, since

TOTAL_B12 = "b12-total"
B12_TESTS = (TOTAL_B12, "b12-active")

RULES = Rules()
finding, step, any_of = RULES.finding, RULES.step, RULES.any_of


def about_orders(
    name: str,
    words: str,
    *,
    follows_from: str = "",
    limits: str = "",
    medicines: str = "",
    analytes: str = "",
    also: str = "",
) -> Callable[[Make], Make]:
    """A finding about the orders of this call, and what `also` says that it reads: not asked where there are none."""
    return finding(
        name,
        words,
        follows_from=follows_from,
        limits=limits,
        medicines=medicines,
        analytes=analytes,
        reads=f"{ORDERS}{also}",
        of_orders=True,
    )


RULES.limit("b12-begun", "days", "B12 is only just begun for", optional=True)


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


def of_group(pathway: Pathway, group: str, orders: Iterable[Order]) -> list[Order]:
    """The orders of an ingredient of the group; a multivitamin and a cyanide kit are none of them."""
    ingredients = pathway.groups.get(group, frozenset())
    return [each for each in orders if each.ingredient in ingredients and not each.multivitamin and not each.antidote]


def cobalamin_products(pathway: Pathway, orders: Iterable[Order]) -> list[Order]:
    """Orders of anything that holds a cobalamin, multivitamins too: for whoever must not have it, all of it counts."""
    ingredients = pathway.groups.get("cobalamin", frozenset())
    return [each for each in orders if each.ingredient in ingredients and not each.antidote]


def drafts_of(case: Case, *orderables: str) -> list[Order]:
    """The drafts of these tests, selected or in the same Bundle."""
    return [each for each in case.record.selected + case.record.beside if each.orderable in orderables]


def by_name(case: Case, orders: Iterable[Order]) -> list[Because]:
    return [Because(each.reference, case.display(each.ingredient)) for each in orders]


# --- Medicines that are selected


@about_orders("box2_ordered", "a medicine that can lower B12 is being ordered", medicines="box2")
def box2_ordered(case: Case) -> Found:
    return by_name(case, of_group(case.pathway, "box2", case.record.selected))


@about_orders("nitrous_ordered", "nitrous oxide is being ordered", medicines="nitrous")
def nitrous_ordered(case: Case) -> Found:
    return by_name(case, of_group(case.pathway, "nitrous", case.record.selected))


@about_orders("cobalamin_ordered", "a medicine that holds B12 is being ordered", medicines="cobalamin")
def cobalamin_ordered(case: Case) -> Found:
    return by_name(case, cobalamin_products(case.pathway, case.record.selected))


@about_orders(
    "cyanocobalamin_ordered",
    "cyanocobalamin is being ordered",
    medicines="cobalamin cyanocobalamin",
)
def cyanocobalamin_ordered(case: Case) -> Found:
    cyano = case.pathway.groups.get("cyanocobalamin", frozenset())
    holding = cobalamin_products(case.pathway, case.record.selected)
    return by_name(case, [each for each in holding if each.ingredient in cyano])


@about_orders(
    "chloramphenicol_order_blunts",
    "B12 and injected chloramphenicol come together by this order",
    follows_from="cobalamin_taken",
    medicines="cobalamin chloramphenicol",
)
def chloramphenicol_order_blunts(case: Case) -> Found:
    """Chloramphenicol is ordered for a patient on a cobalamin, or a cobalamin for one on chloramphenicol."""
    selected, beside = case.record.selected, case.record.beside
    blunting = [each for each in of_group(case.pathway, "chloramphenicol", selected) if each.route in PARENTERAL]
    if blunting and (case.has("cobalamin_taken") or of_group(case.pathway, "cobalamin", selected + beside)):
        return by_name(case, blunting)
    running = [each for each in case.medicines("chloramphenicol") if each.active and each.route in PARENTERAL]
    return ingredient_evidence(case, running) if running and of_group(case.pathway, "cobalamin", selected) else None


# --- Tests that are selected


@about_orders("b12_total_ordered", "total B12 is being ordered")
def b12_total_ordered(case: Case) -> Found:
    display = case.pathway.orderables[TOTAL_B12].title
    return [Because(each.reference, display) for each in case.record.selected if each.orderable == TOTAL_B12]


@about_orders(
    "marker_at_hand",
    "MMA or homocysteine is measured or asked for",
    follows_from="markers",
    limits="result-current",
    also=", and open orders",
)
def marker_at_hand(case: Case) -> Found:
    """MMA or homocysteine is measured, ordered or drafted as well."""
    if not case.record.selected:
        return None
    asked = [each.reference for each in drafts_of(case, *MARKERS)]
    asked += [each.reference for each in case.record.orders if each.orderable in MARKERS]
    both = [lab for lab in (case.mma, case.homocysteine) if lab]
    measured = [lab for lab in both if case.limits.within_days("result-current", lab.date, case.today)]
    return [*case.because(*measured), *(Because(reference, case.words("ordered")) for reference in asked)]


def b12_asked_for(case: Case) -> bool:
    """Is a B12 test ordered and not yet done, or among the drafts?"""
    return bool(drafts_of(case, *B12_TESTS)) or any(each.orderable in B12_TESTS for each in case.record.orders)


@about_orders(
    "b12_not_measured_for_a_year",
    "B12 was not measured for a year and is not being asked for",
    follows_from="box2_ordered",
    analytes="b12 active-b12",
    limits="result-background",
    also=", and open orders",
)
def b12_not_measured_for_a_year(case: Case) -> Found:
    """O1: a medicine that lowers B12 is ordered, and there is no B12 result in a year."""
    measured = case.labs_within("b12", "active-b12", days="result-background")
    if not case.has("box2_ordered") or measured or b12_asked_for(case):
        return None
    return (Because("", case.words("no-b12-in-a-year")),)


@about_orders(
    "other_box2_medicine",
    "another medicine that can lower B12 is in use",
    follows_from="box2_ordered",
    medicines="box2",
    limits="medicine-stopped",
)
def other_box2_medicine(case: Case) -> Found:
    if not case.has("box2_ordered"):
        return None
    chosen = {order.ingredient for order in case.record.selected}
    others = [each for each in case.medicines("box2") if exposed(case, each) and each.ingredient not in chosen]
    return [Because(each.reference, since(case, each)) for each in others]


REPEATED = "b12_total_ordered b12_choice b12_stale b12_preliminary"


@finding(
    "b12_repeat_grey_symptoms",
    "total B12 is being repeated although it was uncertain with symptoms, and no further test is at hand",
    follows_from=f"{REPEATED} b12_grey symptoms marker_at_hand",
    of_orders=True,
)
def b12_repeat_grey_symptoms(case: Case) -> Found:
    """O6: total B12 is ordered again although it was grey with symptoms."""
    grey = case.has("b12_grey") and case.has("symptoms") and not case.has("marker_at_hand")
    return case.because(repeated(case)) if grey else None


@finding(
    "b12_repeat_early",
    "total B12 is being repeated early, and nothing has happened since the last result",
    follows_from=f"{REPEATED} on_im on_oral course blood",
    limits="symptom-current",
    problems=f"risk must-im bariatric symptom {NEURO_PARTS}",
    medicines="cobalamin",
    of_orders=True,
)
def b12_repeat_early(case: Case) -> Found:
    """O5: total B12 is ordered again although a usable result is recent and nothing has happened since."""
    lab = repeated(case)
    if lab is None or case.has("on_im", "on_oral") or happened_after(case, lab.date):
        return None
    return case.because(lab)


def repeated(case: Case) -> Measured | None:
    """The current B12 result that an order of total B12 would repeat."""
    repeats = case.has("b12_total_ordered") and not case.has("b12_stale", "b12_preliminary")
    return driver_of(case) if repeats else None


def happened_after(case: Case, day: date) -> bool:
    """Was B12 begun on that day or since, or is a symptom, a sign in the blood or a cause recorded after it?"""
    treated = any(given >= day for given, _ in case.course.doses)
    treated = treated or any(each.start is not None and each.start >= day for each in cobalamins(case))
    causes = [each for group in ("risk", "must-im", "bariatric") for each in case.in_group(group)]
    new = [each for each in causes if (first_seen(each) or day) > day]
    return treated or bool(new) or bool(symptoms_since(case, day + timedelta(days=1)))


MHRA_RISKS = ("older_age", "bowel_disease", "malabsorption", "irreversible_cause", "diet", "grey_before", "symptoms")
OTHER_RISKS = ("recorded_risk", "nitrous_oxide", "other_box2_medicine", "irreversible_cause", "symptoms")


@finding("grey_before", "an earlier B12 result was uncertain", follows_from="b12_choice neuro pregnant", limits=EDGES)
def grey_before(case: Case) -> Found:
    return case.because(*[lab for lab in case.judged_b12 if settled(case, lab) == "grey"][:1])


@about_orders(
    "monitoring_risk",
    "another risk factor or a symptom; with metformin one that the MHRA names",
    follows_from=f"box2_ordered {' '.join(dict.fromkeys(MHRA_RISKS + OTHER_RISKS))}",
    medicines="metformin ppi box2",
    limits="medicine-stopped",
)
def monitoring_risk(case: Case) -> Found:
    if not case.has("box2_ordered"):
        return None
    ordered = {each.ingredient for each in of_group(case.pathway, "box2", case.record.selected)}
    if not ordered <= case.pathway.groups["metformin"]:
        return case.joined(OTHER_RISKS)
    named_beside = [
        each
        for each in case.medicines("box2")
        if exposed(case, each) and (each.ingredient in case.pathway.groups["ppi"] or each.ingredient == "colchicine")
    ]
    return [*case.joined(MHRA_RISKS), *ingredient_evidence(case, named_beside)]


# --- Folic acid


def is_treatment(pathway: Pathway, order: Order) -> bool:
    """At least the treatment dose a day, or no dose stated; weekly folic acid with methotrexate is none."""
    phase = order.phases[0] if order.phases else None
    if phase and phase.interval is not None and phase.interval >= WEEKLY:
        return False
    amount = order.per_day if order.per_day is not None else phase.dose if phase else None
    return amount is None or amount >= pathway.limits["folic-treatment"]


def begun_days(case: Case) -> list[tuple[date, str]]:
    """The days, today or just before, on which B12 was first given or begun, with their references; none if earlier."""
    earliest = days_before(case.today, case.limits.days("b12-begun"))
    if treated_on(case, earliest):
        return []
    counted = [each for each in cobalamins(case) if by_injection(each) or taken_on(case, each, case.today)]
    days = [*case.course.doses, *((each.start, each.reference) for each in counted if each.start)]
    return [(day, reference) for day, reference in days if earliest <= day <= case.today]


@step(
    "begun",
    follows_from="course oral",
    medicines="cobalamin folic",
    limits=f"b12-begun folic-treatment {TREATED}",
    reads=ORDERS,
)
def begun(case: Case) -> bool:
    """Folic acid at treatment dose that is selected; and B12 drafted with it, or begun today or yesterday."""
    folic = of_group(case.pathway, "folic", case.record.selected)
    case.folic_orders = [each for each in folic if is_treatment(case.pathway, each)]
    if not case.folic_orders:
        case.b12_begun = []
        return False
    drafted = by_name(case, of_group(case.pathway, "cobalamin", case.record.selected + case.record.beside))
    case.b12_begun = drafted + [
        Because(ref, case.words("b12-begun", date=case.written(day))) for day, ref in begun_days(case)
    ]
    return True


def folic_is_severe(case: Case) -> bool:
    """B12 deficient, or NEURO with B12 grey or not known."""
    return case.has("b12_deficient") or (case.has("neuro") and case.has("b12_grey", "b12_not_known"))


WORRYING = "b12_deficient b12_grey b12_not_known neuro macrocytosis never_measured"


def folic_is_worrying(case: Case) -> bool:
    """B12 grey, or not known with macrocytosis; or worse."""
    unknown = case.has("b12_not_known") and case.has("macrocytosis")
    return folic_is_severe(case) or case.has("b12_grey") or unknown


def folic_matters(case: Case) -> bool:
    """Folic acid at treatment dose is ordered, and B12 gives reason to worry, or was never measured: S2."""
    never = case.has("b12_not_known") and case.has("never_measured")
    return bool(case.folic_orders) and (folic_is_worrying(case) or never)


@finding(
    "folate_order_after_b12",
    "B12 is being begun together with the folic acid that is ordered",
    follows_from=f"begun {WORRYING}",
    of_orders=True,
)
def folate_order_after_b12(case: Case) -> Found:
    return case.b12_begun if folic_matters(case) else None


@finding(
    "folate_order_matters",
    "folic acid in a treatment dose is being ordered, and B12 is low, uncertain, or unknown with warning signs",
    follows_from=f"begun {WORRYING} covered",
    of_orders=True,
)
def folate_order_matters(case: Case) -> Found:
    covered = case.has("covered") and not case.b12_begun
    return by_name(case, case.folic_orders) if folic_matters(case) and not covered else None


@finding(
    "folate_order_warning",
    "folic acid that matters as above is being ordered, and no B12 is begun",
    follows_from=f"begun folate_order_matters {WORRYING}",
    of_orders=True,
)
def folate_order_warning(case: Case) -> Found:
    return case.joined(("folate_order_matters",)) if not case.b12_begun and folic_is_worrying(case) else None


@finding(
    "folate_order_critical",
    "folic acid that matters as above is being ordered without B12, B12 is deficient or there are neurological signs,"
    " and not for pregnancy",
    follows_from=f"folate_order_warning pregnant pregnancy_planned {WORRYING}",
    of_orders=True,
)
def folate_order_critical(case: Case) -> Found:
    is_critical = folic_is_severe(case) and not case.has("pregnant", "pregnancy_planned")
    return case.joined(("folate_order_warning",)) if is_critical else None


@about_orders(
    "folate_order_removable",
    "folic acid that matters as above is being ordered, not in pregnancy, before one, or with methotrexate",
    follows_from="folate_order_matters pregnant pregnancy_planned",
    medicines="methotrexate",
)
def folate_order_removable(case: Case) -> Found:
    is_needed = case.has("pregnant", "pregnancy_planned") or any(each.active for each in case.medicines("methotrexate"))
    return by_name(case, case.folic_orders) if case.has("folate_order_matters") and not is_needed else None


# --- B12


@about_orders(
    "treated_before_sample",
    "B12 is being ordered before any B12 sample was taken",
    follows_from="on_im on_oral b12_untested",
    medicines="cobalamin",
    also=", and open orders",
)
def treated_before_sample(case: Case) -> Found:
    """O8: B12 is to be treated and no usable result, sample or order of one is there."""
    treating = of_group(case.pathway, "cobalamin", case.record.selected)
    if case.has("on_im", "on_oral") or not case.has("b12_untested") or b12_asked_for(case):
        return None
    return by_name(case, treating)
