"""How clients.toml says until when a client is silent: a day, with quotation marks or without."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from ..content.faults import Faults

ALLOWED = "allowed: a day such as 2027-01-31"


def days_as_text(value: Any) -> Any:
    """What TOML gives as a date, as the text of one: JSON Schema, by which the file is checked, knows no dates."""
    if isinstance(value, Mapping):
        return {name: days_as_text(each) for name, each in value.items()}
    if isinstance(value, list):
        return [days_as_text(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value


def silent_until(place: str, table: Mapping[str, Any], faults: Faults) -> date | None:
    """The last day of a client's silent mode; None if nobody has said."""
    if "silent_until" not in table:
        return None
    if table.get("mode") != "silent":
        faults.add(f"{place} silent_until", 'is for mode = "silent" only')
    try:
        return date.fromisoformat(table["silent_until"])
    except ValueError:
        faults.add(f"{place} silent_until", f"is no day of the calendar; {ALLOWED}")
        return None
