"""The table of orders as CQL: what `clinical.decide_orders` says of orders that a clinician chooses or signs.

Whether a B12 order differs from the regimen that fits is given, as everything else that rests on the orders themselves;
which regimen takes its place is not exported.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..clinical.tables import Row
from .tables import (
    ALLERGIES_UNREAD,
    ORDERS,
    Tables,
    all_of,
    any_of,
    condition,
    define,
    distinct,
    found,
    negated,
    ref,
    text,
)


class OrderTable(Tables):
    """Writes the definitions of one pathway's orders table, each row of which counts."""

    prefix = "Order"
    judged = f"{ORDERS} judged"
    unknown = ("act_before_results",)

    def rows_by_name(self) -> dict[str, Row]:
        """By "orders/S2": the safety rows of this table have namesakes among those of the chart."""
        return {f"orders/{row.id}": row for row in self.pathway.orders}

    def definitions(self) -> Iterator[str]:
        for name, row in self.rows.items():
            yield define(f"row {name}", all_of([*self.in_scope(), condition(row, self.unknown)]))
        for name, row in self.rows.items():
            yield from self.consequences(name, row)
        yield from self.regimen_row()
        yield from self.summaries()
        removing = [(f"{name} removes", name) for name, row in self.rows.items() if row.removes]
        yield self.answer("Removals", distinct(removing))

    def rows_that_hold(self) -> list[str]:
        return [f"if {ref(f'row {name}')} then {text(name)} else null" for name in self.rows]

    def fixed(self) -> dict[str, str]:
        """Where no row speaks: the card that says what could not be read and a row may rest on."""
        silent = negated(any_of(ref(f"{name} speaks") for name in self.rows))
        unread = any_of([found("record_incomplete"), all_of([found("cobalamin_ordered"), found(ALLERGIES_UNREAD)])])
        return {"fixed/incomplete": all_of([*self.in_scope(), silent, unread])}
