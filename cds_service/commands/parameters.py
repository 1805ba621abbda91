"""What the options of the command line take besides texts, each with a message that says what is allowed."""

from __future__ import annotations

from typing import Any

import click

YEARS = range(1900, 2201)


class Port(click.IntRange):
    """A TCP port."""

    def __init__(self) -> None:
        super().__init__(1, 65535)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no port; allowed: a number from 1 to 65535", param, ctx)


class Day(click.DateTime):
    """A day of the calendar, not so near to its ends that a day before or after it is none."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            found = super().convert(value, param, ctx)
        except click.BadParameter:
            found = None
        if found is None or found.year not in YEARS:
            said = f"from {YEARS[0]} to {YEARS[-1]}"
            self.fail(f"{value!r} is no day; allowed: a date such as 2026-01-31, {said}", param, ctx)
        return found
