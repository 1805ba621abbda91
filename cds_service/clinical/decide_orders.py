"""The decision about orders (6.5): every row of the orders table that matches, and the check of a B12 order.

A clinician's own cobalamin order is compared with the regimens that the pathway would choose for this patient; each
difference that matters is one phrase of messages.toml, and the suggestion replaces the draft.
"""

from __future__ import annotations

from decimal import Decimal

from .advice import Draft, Writer, matches, named
from .case import Because
from .decide import Decision, first_match, level, one_regimen, treatment, urgency
from .findings import Assessment, Finding
from .ordered import by_injection, of_group
from .record import Order
from .tables import Pathway, Phase, Regimen

SLOWEST_LOADING = Decimal(7) / 3 + Decimal("0.01")  # three times a week
FORTNIGHT = Decimal(14)
DAYS = {"d": Decimal(1), "wk": Decimal(7), "mo": Decimal("30.4375"), "a": Decimal("365.25")}
MICROGRAMS = {"mg": Decimal(1000), "microgram": Decimal(1)}


def decide_orders(assessment: Assessment, pathway: Pathway) -> Decision:
    """All rows of the orders table that match; the label is that of the interpretation."""
    found = dict(assessment.findings)
    interpret = first_match(pathway.interpret, found)
    if "out_of_scope" in found:
        return Decision(interpret.label, (), (), found)
    writer = Writer(assessment.case, pathway, found, dict(assessment.values))
    replacements = check_orders(writer, treatment(interpret, found))
    rows = [row for row in pathway.orders if matches(row, found)]
    advice = [writer.advice(row, level(row, found)) for row in rows]
    advice = [with_replacements(each, replacements) for each in one_regimen(advice) if each.indicator != "none"]
    return Decision(interpret.label, tuple(named(row) for row in rows), tuple(sorted(advice, key=urgency)), found)


def with_replacements(advice, replacements: list[Draft]):
    """The O7 advice carries the drafts that replace the clinician's own."""
    if advice.row != "orders/O7":
        return advice
    return type(advice)(
        advice.row,
        advice.indicator,
        advice.summary,
        advice.detail,
        advice.topic,
        advice.provenance,
        tuple(replacements),
    )


def check_orders(writer: Writer, treat: str) -> list[Draft]:
    """Findings order_differs and order_unchecked, the words of {differences}, and what would replace the orders."""
    case, found = writer.case, writer.found
    urgent = any(name in found for name in ("cord_or_nitrous_neuro", "megaloblastic_neuro"))
    lifelong = "must_im_disease" in found or "bariatric" in found
    if "on_im" in found or (treat not in ("now", "consider") and not urgent):
        return []
    regimens = writer.suitable(first_match(writer.pathway.treat, found))
    replacements, words = [], []
    for order in of_group(case, "cobalamin", case.record.selected):
        keys = differences(order, regimens, "neuro" in found) if regimens else []
        if lifelong and keys == ["loading"] and treat not in ("now", "consider"):
            continue
        texts = [writer.pathway.messages[f"difference.{key}"] for key in keys]
        if not texts:
            continue
        name = "order_unchecked" if keys == ["unchecked"] else "order_differs"
        found[name] = Finding(name, tuple(Because(order.reference, text) for text in texts))
        found["order_differs_or_unchecked"] = found[name]
        words += texts
        if name == "order_differs" and not writer.forbidden(regimens[0]) and "no_medicine_draft" not in found:
            replacements.append(Draft("medicine", regimens[0].id, order.reference))
    writer.values["fitting"] = "\n".join(f"- {each.words.strip()}" for each in regimens)
    writer.values["differences"] = "\n".join(f"- {text}" for text in dict.fromkeys(words))
    return replacements


def differences(order: Order, regimens: list[Regimen], neuro: bool) -> list[str]:
    """In what the order differs from the regimens that fit, as keys of messages.toml [difference]."""
    alike = [each for each in regimens if (each.phases[0].route != "oral") == by_injection(order)]
    if not alike:
        return ["route-oral" if not by_injection(order) else "route-injection"]
    regimen, found = alike[0], []
    if order.ingredient not in {each.ingredient for each in alike}:
        found.append("substance")
    if not order.phases or all(phase.interval is None for phase in order.phases):
        return found or ["unchecked"]
    return found + schedule_differences(order, regimen, neuro)


def schedule_differences(order: Order, regimen: Regimen, neuro: bool) -> list[str]:
    """Dose and timing against the regimen of the same route."""
    first, wanted, found = order.phases[0], regimen.phases[0], []
    if too_little(order, wanted):
        found.append("dose")
    if not by_injection(order) or first.interval is None:
        return found
    loading = interval(wanted)
    if loading <= SLOWEST_LOADING < first.interval:
        found.append("slow" if neuro else "loading")
    elif neuro and wanted.count is None and first.days is not None and first.days <= FORTNIGHT:
        found.append("limited")
    return found


def too_little(order: Order, wanted: Phase) -> bool:
    """Less in a dose (injections), or less in a day (by mouth), than the regimen's lowest dose."""
    needed = wanted.dose * MICROGRAMS[wanted.dose_unit]
    if by_injection(order):
        dose = order.phases[0].dose
        return dose is not None and dose < needed
    return order.per_day is not None and order.per_day < needed / interval(wanted)


def interval(phase: Phase) -> Decimal:
    """Days between two doses of a phase."""
    return phase.period * DAYS[phase.period_unit] / phase.frequency
