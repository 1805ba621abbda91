"""Limits that note which of them were looked up: what a decision does not look up cannot change it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from tests.api import Limits


class WatchedLimits(Limits):
    """The thresholds of a pathway, and which of them were looked up."""

    __slots__ = ("read",)

    def __init__(self, numbers: Mapping[str, Decimal]):
        super().__init__(numbers)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Decimal:
        self.read.add(name)
        return super().__getitem__(name)

    def days(self, name: str) -> int:
        self.read.add(name)
        return super().days(name)

    def within_days(self, name: str, day: date | None, today: date) -> bool:
        self.read.add(name)
        return super().within_days(name, day, today)

    def within_months(self, name: str, day: date | None, today: date) -> bool:
        self.read.add(name)
        return super().within_months(name, day, today)

    def longer_than_months(self, name: str, day: date, today: date) -> bool:
        self.read.add(name)
        return super().longer_than_months(name, day, today)
