"""What a prefetch template asks for, and the query that it becomes for one patient."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote, unquote

_TOKEN = re.compile(r"\{\{\s*context\.([A-Za-z]+)\s*\}\}")
_ANY_TOKEN = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_TODAY = re.compile(r"today\(\)(?:\s*([+-])\s*([0-9]{1,5})\s*days?)?")
_USERS = {f"user{kind}Id": kind for kind in ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson")}
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


def fill(template: str, context: Mapping[str, str]) -> str | None:
    """The query for this context, or None where the context lacks a value that it needs."""
    wanted = _TOKEN.findall(template)
    if any(context.get(name, "") in ("", ".", "..") for name in wanted):
        return None
    filled = _TOKEN.sub(lambda token: quote(context[token[1]], safe=""), template)
    return None if "{{" in filled else filled


class UnknownToken(ValueError):
    """A token that has no value here, or an expression that is not resolved. Its text is the token."""


def resolved(template: str, context: Mapping[str, Any], today: date) -> str:
    """The query for this context, of a template that anybody wrote: fields of the context, ids of the user, and of the
    FHIRPath of CDS Hooks 3.0 `today()` with days before or after it. Every other expression is an UnknownToken."""

    def value(token: re.Match[str]) -> str:
        found = _value(token[1], context, today)
        if not found:
            raise UnknownToken(token[1])
        return quote(found, safe="")

    return _ANY_TOKEN.sub(value, template)


def _value(token: str, context: Mapping[str, Any], today: date) -> str:
    """The value of a token; "" where it has none."""
    if shifted := _TODAY.fullmatch(token):
        return str(today + timedelta(days=int(f"{shifted[1] or '+'}{shifted[2] or 0}")))
    kind, _, name = str(context.get("userId", "")).partition("/")
    if token in _USERS:
        return name if _USERS[token] == kind else ""
    field = context.get(token.removeprefix("context.")) if token.startswith("context.") else None
    return field if isinstance(field, str) else ""
