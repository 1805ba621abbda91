"""Notes, follow-ups and the entry of the problem list as CQL: what goes with the rows that speak.

A note is a sentence on the cards of some rows. A follow-up is an order for a later day, drafted with a regimen. Which
of the notes a card has room for is a matter of its layout, and not exported.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..clinical.advice import FOLLOWED, belongs, row_name
from ..clinical.tables import FollowUp, Pathway, Row
from .tables import (
    NOTES,
    Tables,
    all_of,
    any_of,
    condition,
    define,
    distinct,
    found,
    in_list,
    is_planned,
    negated,
    ref,
    text,
)

CONFIRMED, LAPSED = "confirmed", "lapsed"
UNITS = {"d": "days", "wk": "weeks", "mo": "months", "a": "years"}
PROBLEM_LIST = "The deficiency is for the problem list"


def notes(tables: Tables) -> Iterator[str]:
    """Each note, whether it is said of a row of these tables, and the list of those that are."""
    pathway, judged = tables.pathway, f"{NOTES} judged"
    for note in pathway.notes:
        rows = [name for name, row in tables.rows.items() if belongs(note, row)]
        spoken = any_of(ref(f"{name} speaks") for name in rows)
        yield define(
            said(note, tables), all_of([ref(judged), *tables.in_scope(), spoken, condition(note, tables.unknown)])
        )
    listed = distinct((said(note, tables), row_name(note)) for note in pathway.notes)
    value = f"if not ({ref(judged)} and {ref(tables.judged)}) then null else {listed}"
    yield define(tables.definition_name("Notes"), value)


def said(note: Row, tables: Tables) -> str:
    """The definition that says whether a note stands on a card."""
    return f"{row_name(note)} is said{tables.of_this()}"


def follow_ups(pathway: Pathway) -> Iterator[str]:
    """Each follow-up: is it drafted, and for which day?"""
    rows = (*pathway.course, *pathway.treat, *pathway.safety)
    followed = in_list("Coalesce(\"Regimen row\", '')", [row_name(row) for row in rows if row.table in FOLLOWED])
    for each in pathway.follow_ups.values():
        due = all_of([followed, condition(each), negated(found(is_planned(each.id)))])
        number, unit = each.after
        yield define(drafted(each), due)
        yield define(day_of(each), f'ToDateTime("Today" + {number} {UNITS[unit]})')
    listed = distinct((drafted(each), each.id) for each in pathway.follow_ups.values())
    yield define("Follow ups", f'if not "Judged" then null else {listed}')


def drafted(follow_up: FollowUp) -> str:
    return f"follow-up {follow_up.id} is drafted"


def day_of(follow_up: FollowUp) -> str:
    return f"follow-up {follow_up.id} day"


def problem_list(pathway: Pathway) -> Iterator[str]:
    """Is the deficiency offered for the problem list? Where a site wants that: `decide.with_problem`."""
    rows = [row_name(row) for row in (*pathway.interpret, *pathway.course)]
    reasons = [f'"Label" = {text(CONFIRMED)}', f"Coalesce(\"Course row\", '') = {text(LAPSED)}"]
    telling = any_of(ref(f"{name} speaks") for name in rows)
    offered = all_of([any_of(reasons), negated(found("coded")), telling]) if pathway.problem_list else "false"
    yield define(PROBLEM_LIST, f'if not "Judged" then null else {offered}')
