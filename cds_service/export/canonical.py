"""Under which address, name and version each exported resource is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

Json = dict[str, Any]
USUAL = "https://b12-cds.example.org/fhir"  # whoever publishes the export names an address of their own
PREFIX = "B12"


@dataclass(frozen=True, slots=True)
class Canonical:
    """What all exported resources have in common. `day`: the newest day on which something in it was checked."""

    base: str
    version: str
    day: date
    is_approved: bool

    def of(self, kind: str, name: str) -> str:
        """The canonical address of a resource, with its version."""
        return f"{self.url(kind, name)}|{self.version}"

    def url(self, kind: str, name: str) -> str:
        return f"{self.base.rstrip('/')}/{kind}/{name}"

    def about(self, kind: str, name: str, computable: str) -> Json:
        """The elements with which every resource begins. Draft, until the content is approved."""
        return {
            "resourceType": kind,
            "id": name,
            "url": self.url(kind, name),
            "version": self.version,
            "name": computable,
            "status": "active" if self.is_approved else "draft",
            "experimental": False,
            "date": self.day.isoformat(),
        }


def identifier(name: str, prefix: str = PREFIX) -> str:
    """A name as FHIR and CQL take it: "uk-ng239" becomes "B12UkNg239"."""
    return prefix + "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name) if part)
