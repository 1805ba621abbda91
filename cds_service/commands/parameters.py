"""What the options of the command line take besides texts, each with a message that says what is allowed."""

from __future__ import annotations

from typing import Any

import click


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
    """A day of the calendar."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no day; allowed: a date such as 2026-01-31", param, ctx)
