"""What elements a MedicationRequest may hold, taken from fhir.resources: `python -m tests.fhir.echo_shapes` writes it.

One text for each element: its type; "[]" for a list; "!" where it must be there; "?group" where only one of a group may
be; "=a|b" for the codes that are allowed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

ROOTS = ("MedicationRequest", "Medication", "Substance", "Practitioner", "Organization", "Condition")
FILE = Path(__file__).parents[2] / "cds_service" / "fhir" / "order-shapes.json"
PLAIN = {"bool": "Boolean", "int": "Integer", "decimal.Decimal": "Decimal"}


def shapes() -> dict[str, dict[str, str]]:
    """Every type that can be reached, but for contained resources of other types."""
    found: dict[str, dict[str, str]] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = {}
        for field in get_fhir_model_class(name).model_fields.values():
            more: dict[str, Any] = field.json_schema_extra or {}
            if not more.get("element_property") or field.alias.startswith("_"):
                continue
            kind = kind_of(str(field.annotation))
            if kind[0].isupper() and f"abc.{kind}Type" in str(field.annotation) and kind != "Resource":
                waiting.append(kind)
            found[name][field.alias] = kind + marks(str(field.annotation), more, field.is_required())
    return dict(sorted(found.items()))


def kind_of(annotation: str) -> str:
    for pattern in (r"abc\.(\w+)Type", r"Annotated\[[^,\]]+(?:\[[^\]]*\])?, (\w+)\(", r"types\.(Xhtml)"):
        if match := re.search(pattern, annotation):
            return match[1]
    return next(kind for plain, kind in PLAIN.items() if plain in annotation)


def marks(annotation: str, more: dict[str, Any], required: bool) -> str:
    many = "[]" if "List[" in annotation else ""
    needed = "!" if required or more.get("element_required") else ""
    group = f"?{more['one_of_many']}" if "one_of_many" in more else ""
    codes = "=" + "|".join(more["enum_values"]) if more.get("enum_values") else ""
    return many + needed + group + codes


def written() -> str:
    return json.dumps(shapes(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(written())
