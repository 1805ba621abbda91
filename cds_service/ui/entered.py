"""A form as a person typed it, and what of it cannot be used: every fault with the field that it belongs to.

A form with faults is drawn again as it was typed, so that nothing has to be typed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cds_service.web.errors import Refused

Form = Mapping[str, str]
PASTED = {name: f"pasted-{name}" for name in ("pathway", "today")}  # fields that both forms of the page have


class WrongField(Refused):
    """What was typed into one field cannot be used. The text names the field, the fault and what is allowed."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        super().__init__(400, text)


@dataclass(frozen=True, slots=True)
class Entered:
    """What was typed, by the names of the fields, and the faults in it. Nothing typed: a page that shows a record."""

    form: Form = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def checked(self) -> Iterator[None]:
        """A field that is wrong is noted, and the next one is looked at."""
        try:
            yield
        except WrongField as wrong:
            self.faults.setdefault(wrong.name, wrong.texts[0])

    @property
    def is_pasted(self) -> bool:
        """Is it the form into which one pastes?"""
        return "pasted" in self.form

    def id(self, name: str) -> str:
        """The id of a field on the page."""
        return PASTED.get(name, name) if self.is_pasted else name

    def value(self, name: str, recorded: object = "") -> str:
        """What stands in a field: what was typed, else what is recorded."""
        return self.form.get(name, "" if recorded is None else str(recorded))

    def ticked(self, name: str) -> bool:
        """Was the box ticked?"""
        return bool(self.form.get(name))

    def fault(self, name: str) -> str:
        """What is wrong with a field, or ""."""
        return self.faults.get(name, "")

    @property
    def wrong_rows(self) -> set[str]:
        """The rows that hold a wrong field ("lab-7" of "lab-7-value"): what is folded around them is opened."""
        return {name.rpartition("-")[0] for name in self.faults}

    def is_filled(self, beginning: str) -> bool:
        """Was anything typed or wrong below that name, other than a day, which may stand there from the start?"""
        typed = {name for name, text in self.form.items() if text and not name.endswith("-day")}
        return any(name.startswith(beginning) for name in typed | self.faults.keys())
