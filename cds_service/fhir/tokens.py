"""Tokens of prefetch templates, resolved as a CDS client does: fields of the context, the ids of the user, and the
simpler FHIRPath of CDS Hooks 3.0.

Grammar (https://cds-hooks.hl7.org, "Prefetch tokens", 3.0.0-ballot): selectors with `|` between them; each is a user's
id, `today()` with days added or taken away, or a path that begins at `context` or at `%key`, the answer to a template
that stands before, and goes on by elements, `ofType()` and `resolve()`. Everything else is refused by name: what would
be guessed would be another query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

TOKEN = re.compile(r"\{\{\s*(.*?)\s*\}\}")
USERS = {f"user{kind}Id": kind for kind in ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson")}
ALLOWED = (
    "allowed: context.FIELD, " + ", ".join(USERS) + ", today() with + or - N days, and paths from context or from "
    "%KEY of an earlier template with ofType(TYPE) and resolve(), | between them"
)
_TODAY = re.compile(r"today\(\)(?:\s*([+-])\s*([0-9]{1,5})\s*days?)?")
_ROOT = re.compile(r"context|%[A-Za-z][\w-]*")
_STEP = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9]*)(?:\((?P<argument>[A-Za-z]*)\))?")
_RESOURCE_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_REFERENCE = re.compile(r"(?:.*/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.-]+)(?:/_history/.*)?")
_CHOICE = (
    "(?:Reference|CodeableConcept|Coding|Code|String|Boolean|Integer|Decimal|Quantity|Range|Ratio|Period|DateTime|Date|Age"
    "|Timing)"
)
_NO_SIMPLE = "ends at an object; a query needs a text, a number or true and false"


class UnknownToken(ValueError):
    """A token without a value here, or an expression that is not resolved: its text says which, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Referenced:
    """A resource of which no more is known than its reference: enough for its type and its id."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Call:
    """What the tokens of one call may name: its context, its day, and the answers to the templates before (by key)."""

    context: Mapping[str, Any]
    today: date
    answers: Mapping[str, Any] = field(default_factory=dict)


def resolved(template: str, call: Call) -> str:
    """The query of a template that anybody wrote, for this call; UnknownToken where a token cannot be resolved."""
    return TOKEN.sub(lambda token: ",".join(quote(each, safe="/") for each in values(token[1], call)), template)


def check(template: str) -> None:
    """UnknownToken where a token is no expression of the grammar; whether it will have a value is not asked."""
    for token in TOKEN.findall(template):
        for selector in token.split("|"):
            _parsed(selector.strip(), token)


def values(token: str, call: Call) -> list[str]:
    """What a token stands for: one text, or several, which a query takes as "or"; never none."""
    found = dict.fromkeys(text for selector in token.split("|") for text in _selected(selector.strip(), token, call))
    if not found:
        raise UnknownToken(f"{token}: has no value in this call")
    return list(found)


@dataclass(frozen=True, slots=True)
class _Path:
    """A path: where it begins ("context" or a key of the answers), and its steps, each a name and an argument."""

    root: str
    steps: tuple[tuple[str, str | None], ...]


def _parsed(selector: str, token: str) -> str | re.Match[str] | _Path:
    """A selector: the name of a user's id, a day, or a path; UnknownToken for anything else."""
    if selector in USERS:
        return selector
    if day := _TODAY.fullmatch(selector):
        return day
    root, *names = (part.strip() for part in selector.split("."))
    if not (_ROOT.fullmatch(root) and names):
        raise UnknownToken(f"{token}: {selector!r} is not resolved; {ALLOWED}")
    return _Path(root.removeprefix("%"), tuple(_step(name, token) for name in names))


def _step(text: str, token: str) -> tuple[str, str | None]:
    """One step of a path; UnknownToken for a function or an operator that is not of the grammar."""
    step = _STEP.fullmatch(text)
    if step is None:
        raise UnknownToken(f"{token}: {text!r} is no step of a path; {ALLOWED}")
    name, argument = step["name"], step["argument"]
    if argument is None:
        return name, None
    if name == "resolve" and not argument:
        return name, argument
    if name == "ofType" and _RESOURCE_TYPE.fullmatch(argument):
        return name, argument
    raise UnknownToken(f"{token}: {text} is no function that is resolved; {ALLOWED}")


def _selected(selector: str, token: str, call: Call) -> Iterator[str]:
    """The texts that a selector gives."""
    parsed = _parsed(selector, token)
    if isinstance(parsed, re.Match):
        yield str(call.today + timedelta(days=int(f"{parsed[1] or '+'}{parsed[2] or 0}")))
    elif isinstance(parsed, str):
        kind, _, name = str(call.context.get("userId", "")).partition("/")
        if name and kind == USERS[parsed]:
            yield name
    else:
        for value in _walked(parsed, token, call):
            yield _text(value, token)


def _walked(path: _Path, token: str, call: Call) -> list[Any]:
    """What a path leads to."""
    if path.root == "context":
        found = [_Found(call.context, None)]
    elif path.root in call.answers:
        answer = call.answers[path.root]
        found = [_Found(answer, answer if _type(answer) else None)]
    else:
        raise UnknownToken(f"{token}: %{path.root} is the key of no template before this one")
    for name, argument in path.steps:
        if argument is None:
            found = [child for each in found for child in _children(each, name, token)]
        elif name == "ofType":
            found = [each for each in found if _type(each.value) == argument]
        else:
            known = _by_reference(call)
            found = [target for each in found for target in _targets(each, known)]
    return [each.value for each in found]


@dataclass(frozen=True, slots=True)
class _Found:
    """A value on the way, and the resource whose contained ones a reference in it names by "#id"."""

    value: Any
    holder: Mapping[str, Any] | None

    @property
    def is_contained(self) -> bool:
        """Is it a resource within another one? Its id is good within that one only, and no server finds it by it."""
        return self.value is not self.holder and isinstance(self.value, Mapping) and bool(_type(self.value))


def _children(found: _Found, name: str, token: str) -> Iterator[_Found]:
    """The elements of that name; `medication` is medicationReference too, as in FHIRPath. `status` is not statusReason:
    what follows is the name of a type."""
    value = found.value
    if isinstance(value, Referenced):
        if name != "id":
            raise UnknownToken(f"{token}: {name} of {value.type}/{value.id}, which did not come with the call")
        yield _Found(value.id, None)
    elif isinstance(value, Mapping) and not (name == "id" and found.is_contained):
        chosen = re.compile(f"{name}{_CHOICE}")
        child = value[name] if name in value else next((value[key] for key in value if chosen.fullmatch(key)), None)
        for each in child if isinstance(child, list) else [child] if child is not None else []:
            whole = isinstance(each, Mapping) and _type(each) and name != "contained"
            yield _Found(each, each if whole else found.holder)


def _type(value: Any) -> str:
    """The type of a resource; "" of what is none."""
    if isinstance(value, Referenced):
        return value.type
    return str(value.get("resourceType", "")) if isinstance(value, Mapping) else ""


def _targets(found: _Found, known: Mapping[str, Any]) -> Iterator[_Found]:
    """The resource that a reference names: a contained one ("#id"; "#" is the one that contains), one that came with
    the call, else its type and id. What has an address of this Bundle alone is not found."""
    text = found.value.get("reference") if isinstance(found.value, Mapping) else found.value
    if not isinstance(text, str):
        return
    if text.startswith("#"):
        holder = found.holder or {}
        contained = holder.get("contained")
        among = [holder] if text == "#" else contained if isinstance(contained, list) else []
        named = (each for each in among if _type(each) and (text == "#" or each.get("id") == text[1:]))
        yield from (_Found(each, found.holder) for each in named)
    elif parts := _REFERENCE.fullmatch(text):
        target = known.get(f"{parts['type']}/{parts['id']}", Referenced(parts["type"], parts["id"]))
        yield _Found(target, None if isinstance(target, Referenced) else target)


def _by_reference(call: Call) -> dict[str, Any]:
    """The resources that came with the call, by type and id."""
    came = [*call.context.values(), *call.answers.values()]
    bundles = [each for each in came if _type(each) == "Bundle" and isinstance(each.get("entry"), list)]
    entries = [entry.get("resource") for each in bundles for entry in each["entry"] if isinstance(entry, Mapping)]
    return {f"{_type(each)}/{each.get('id')}": each for each in (*came, *entries) if _type(each)}


def _text(value: Any, token: str) -> str:
    """A simple value as it stands in a query."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int)):
        return str(value)
    raise UnknownToken(f"{token}: {_NO_SIMPLE}")
