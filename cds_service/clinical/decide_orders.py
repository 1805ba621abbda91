"""The decision about orders (6.5): every row of the orders table that holds.

A clinician's own B12 order is checked on the way: what differs becomes findings and words, and the suggestion of its
row replaces the clinician's draft.
"""

from __future__ import annotations

from dataclasses import replace

from .advice import Advice, Draft, Writer, first_match, matches, named
from .case import Because
from .decide import Decision, level, note_staleness, one_regimen, treatment, urgency
from .findings import Assessment, Finding
from .order_check import UNCHECKED, Difference, check_orders, fit_for
from .tables import Pathway

DIFFERS, UNSURE = "order_differs", "order_unchecked"


def decide_orders(assessment: Assessment, pathway: Pathway) -> Decision:
    """All rows of the orders table that hold; the label is that of the interpretation."""
    found, values = dict(assessment.findings), dict(assessment.values)
    interpret = first_match(pathway.interpret, found)
    note_staleness(interpret, found)
    if "out_of_scope" in found:
        return Decision(interpret.label, (), (), found)
    checker = Writer(assessment.case, pathway, found, values)
    fit = fit_for(checker, treatment(interpret, found))
    differing = check_orders(checker, fit)
    note_differences(differing, found, values, pathway)
    values["fitting"] = "\n".join(f"- {each.words.strip()}" for each in fit.regimens)
    writer = Writer(assessment.case, pathway, found, values)
    rows = [row for row in pathway.orders if matches(row, found)]
    advice = [each for each in (writer.advice(row, level(row, found)) for row in rows) if each.indicator != "none"]
    checking = {named(row) for row in rows if DIFFERS in row.when}
    advice = [with_replacements(each, differing) if each.row in checking else each for each in one_regimen(advice)]
    advice = advice or unseen(writer)
    return Decision(interpret.label, tuple(named(row) for row in rows), tuple(sorted(advice, key=urgency)), found)


def note_differences(
    differing: list[Difference], found: dict[str, Finding], values: dict[str, str], pathway: Pathway
) -> None:
    """Findings order_differs and order_unchecked, and the words of {differences}."""
    told: dict[str, list[Because]] = {DIFFERS: [], UNSURE: []}
    for each in differing:
        texts = [pathway.messages[f"difference.{key}"] for key in each.keys]
        name = UNSURE if each.keys == (UNCHECKED,) else DIFFERS
        told[name] += [Because(each.order.reference, text) for text in texts]
    found.update((name, Finding(name, tuple(because))) for name, because in told.items() if because)
    words = dict.fromkeys(each.text for each in (*told[DIFFERS], *told[UNSURE]))
    values["differences"] = "\n".join(f"- {text}" for text in words)


def with_replacements(advice: Advice, differing: list[Difference]) -> Advice:
    """The advice on the regimen, with the drafts that replace the clinician's own."""
    drafts = [Draft("medicine", each.regimen.id, each.order.reference) for each in differing if each.regimen]
    return replace(advice, drafts=(*advice.drafts, *dict.fromkeys(drafts)))


def unseen(writer: Writer) -> list[Advice]:
    """No row holds. Where something could not be seen that a row may rest on, the card that says so."""
    found, record = writer.found, writer.case.record
    missing = [each.text for each in found["record_incomplete"].because] if "record_incomplete" in found else []
    if "cobalamin_ordered" in found and "allergies" in record.published & (record.unavailable | record.incomplete):
        missing.append(writer.pathway.messages["prefetch.allergies"])
    if not missing:
        return []
    writer.values = writer.values | {"missing": ", ".join(missing)}
    return [writer.fixed(writer.pathway.fixed["incomplete"])]
