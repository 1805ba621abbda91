"""What a prefetch template asks for, and the query that it becomes for one patient."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

_TOKEN = re.compile(r"\{\{\s*context\.([A-Za-z]+)\s*\}\}")
_SAME = {"subject": "patient"}  # servers write the one where the other was asked


def resource_type(template: str) -> str:
    """The type of resource that answers it: "Observation"."""
    return template.partition("?")[0].partition("/")[0]


def is_read(template: str) -> bool:
    """Whether it names one resource ("Patient/{{context.patientId}}") instead of searching."""
    return "?" not in template


def filters(query: str) -> frozenset[str]:
    """The parameters that choose resources. Those that begin with "_" only say how many come, and in what order."""
    names = {part.partition("=")[0].partition(":")[0] for part in query.partition("?")[2].split("&")}
    return frozenset(_SAME.get(name, name) for name in names if name and not name.startswith("_"))


def codes(template: str) -> frozenset[str]:
    """The bare codes it asks for; none if it asks for every code."""
    for part in template.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        if name == "code":
            return frozenset(unquote(code).rpartition("|")[2] for code in value.split(","))
    return frozenset()


def ids(template: str) -> frozenset[str]:
    """The logical ids that it asks for by name; none if it asks for every resource, or a token stands there."""
    value = template.partition("?")[0].partition("/")[2] if is_read(template) else ""
    for part in template.partition("?")[2].split("&"):
        name, _, listed = part.partition("=")
        value = listed if name == "_id" else value
    return frozenset(unquote(each) for each in value.split(",") if each and "{{" not in each)


def fill(template: str, context: Mapping[str, str]) -> str | None:
    """The query for this context, or None where the context lacks a value that it needs."""
    wanted = _TOKEN.findall(template)
    if any(context.get(name, "") in ("", ".", "..") for name in wanted):
        return None
    filled = _TOKEN.sub(lambda token: quote(context[token[1]], safe=""), template)
    return None if "{{" in filled else filled
