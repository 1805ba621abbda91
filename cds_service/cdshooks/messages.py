"""What a CDS client sends: the hook request, decoded once, with its prefetch, into a frozen type.

Lenient where real clients differ (checklist items 9, 10, 29 to 37), strict where a wrong reading could concern the
wrong patient. A fault is told by its path and by the keyword of the schema that it breaks, never by its value: the
value may be patient data. Of a JSON key that is sent twice the last one counts, as in most parsers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from ..fhir.resources import Resource
from .depth import too_deep
from .registry import DEFAULT_HOOK, HOOKS, Context, Envelope
from .schemas import load_schema

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TOKEN = re.compile(r"[\x21-\x7e]+")
DRAFT_ORDERS = "context.draftOrders"
EXPLAINED = {  # path of what is missing -> why it may be
    DRAFT_ORDERS: "a client leaves it out where it has not granted this service the scopes for unsigned orders"
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request: `path` as "context.patientId" ("" for the whole), `keyword` as in JSON
    Schema, `text` in words for a developer."""

    path: str
    keyword: str
    text: str


NOT_JSON = Fault("", "json", "the body is not JSON in UTF-8")
TOO_DEEP = Fault("", "depth", "the body is nested too deep")


class BadRequest(Exception):
    """The request cannot be read as a hook request: 400, with what is wrong and where."""

    def __init__(self, *faults: Fault):
        self.faults = faults
        super().__init__("; ".join(f"{fault.path}: {fault.keyword}" for fault in faults))

    @property
    def lacks_draft_orders(self) -> bool:
        """Does an order hook come without its orders? The operator must hear of it: the scopes are not granted."""
        return any(fault.path == DRAFT_ORDERS and fault.keyword == "required" for fault in self.faults)


@dataclass(frozen=True, slots=True)
class FhirAccess:
    """The FHIR server that the client names, and the token it passed for it ("" for none), good for `lifetime` s."""

    base: str
    token: str = field(default="", repr=False)
    lifetime: float | None = None


class HookRequest(msgspec.Struct, frozen=True, gc=False):
    """One call of a CDS service. `tokens` are the context fields that prefetch templates may name, `patientId` bare.

    `draft_orders` is None for a hook without orders; `selections` is None where every draft drives the call.
    """

    hook: str
    hook_instance: str
    patient_id: str
    tokens: dict[str, str]
    prefetch: Mapping[str, Resource | msgspec.Raw | None]
    fhir_base: str = ""  # the fhirServer as it was named, also where there is no access to it
    fhir_access: FhirAccess | None = None
    warnings: tuple[str, ...] = ()  # keys of what was odd and put right, for the log
    draft_orders: msgspec.Raw | None = None
    selections: tuple[str, ...] | None = None


SHALLOW = msgspec.json.Decoder(dict[str, msgspec.Raw])
PARTS = msgspec.json.Decoder(list[msgspec.Raw])
SCHEMA = Draft202012Validator(load_schema("request"))


def read_request(body: bytes, hook: str) -> HookRequest:
    """The request of a call to an endpoint of `hook`; BadRequest if it cannot be read or is meant for another hook."""
    envelope = _envelope(body, hook)
    if envelope.hook != hook:
        raise BadRequest(_other_hook(hook))
    context = envelope.context
    draft_orders, selections = getattr(context, "draft_orders", None), getattr(context, "selections", None)
    if draft_orders is not None and _outline(draft_orders) != {}:
        raise BadRequest(*_faults(body, hook))
    patient_id = context.patient_id
    warnings = []
    if patient_id.startswith("Patient/"):
        patient_id = patient_id.removeprefix("Patient/")
        warnings.append("patient-id-with-type")
    access, refused = _fhir_access(envelope, patient_id)
    warnings += [refused] if refused else []
    return HookRequest(
        hook=hook,
        hook_instance=envelope.hook_instance,
        patient_id=patient_id,
        tokens=_tokens(context, patient_id),
        prefetch=envelope.prefetch or {},
        fhir_base=envelope.fhir_server or "",
        fhir_access=access,
        warnings=tuple(warnings),
        draft_orders=draft_orders,
        selections=None if selections is None else tuple(selections),
    )


def _tokens(context: Context, patient_id: str) -> dict[str, str]:
    """The fields of a context that prefetch templates may name: those that are texts. `patientId` is bare."""
    found: dict[str, str] = {}
    for attribute, name in zip(context.__struct_fields__, context.__struct_encode_fields__, strict=True):
        value = getattr(context, attribute)
        text = value if isinstance(value, str) else _text(value) if isinstance(value, msgspec.Raw) else ""
        if text:
            found[name] = text
    return {**found, "patientId": patient_id}


def named_hook(body: bytes, otherwise: str = DEFAULT_HOOK) -> str:
    """The hook that a saved request names, if we know it."""
    try:
        hook = _text(SHALLOW.decode(body).get("hook"))
    except msgspec.DecodeError:
        return otherwise
    return hook if hook in HOOKS else otherwise


def log_name(hook_instance: str) -> str:
    """How a hookInstance appears in logs: as it is if it is a UUID, else hashed, for it may hold anything (33)."""
    if UUID.fullmatch(hook_instance):
        return hook_instance
    return "sha256:" + hashlib.sha256(hook_instance.encode()).hexdigest()[:16]


def _envelope(body: bytes, hook: str) -> Envelope:
    """In one pass with the prefetch; of a request of which something does not fit the prefetch stays undecoded."""
    try:
        if too_deep(body):
            raise BadRequest(TOO_DEEP)
        if not body.isascii():
            body.decode()  # the parts that are not decoded here must be text too
        try:
            return HOOKS[hook].whole_decoder.decode(body)
        except msgspec.ValidationError:
            return HOOKS[hook].decoder.decode(body)
    except msgspec.ValidationError:
        raise BadRequest(*_faults(body, hook)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(NOT_JSON) from None
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None


def _other_hook(hook: str) -> Fault:
    return Fault("hook", "const", f"hook: is not the hook of this service, {hook}")


def _faults(body: bytes, hook: str) -> tuple[Fault, ...]:
    """What the schema says of a body that is JSON but no request. Only the envelope is looked at."""
    try:
        fields = SHALLOW.decode(body)
    except msgspec.ValidationError:
        return (Fault("", "type", "the body is not an object"),)
    except msgspec.DecodeError:
        return (NOT_JSON,)
    outline = {name: _outline(raw) for name, raw in fields.items() if name != "context"}
    if "context" in fields:
        outline["context"] = _context_outline(fields["context"])
    found = dict.fromkeys(fault for error in SCHEMA.iter_errors(outline) for fault in _told(error))
    if outline.get("hook", hook) != hook and isinstance(outline["hook"], str):
        return (_other_hook(hook), *found)
    return tuple(found) or (Fault("", "type", "the body is not a hook request"),)


def _context_outline(raw: msgspec.Raw) -> Any:
    """The outlines of the context's fields, and of each selection. Draft orders that are null are none at all."""
    context = _outline(raw)
    if context != {}:
        return context
    fields = SHALLOW.decode(raw)
    context = {name: _outline(part) for name, part in fields.items()}
    if context.get("selections") == []:
        context["selections"] = [_outline(part) for part in PARTS.decode(fields["selections"])]
    if context.get("draftOrders", 0) is None:
        del context["draftOrders"]
    return context


def _outline(raw: msgspec.Raw) -> Any:
    """A text as it is, of anything else only what kind of value it is."""
    first = bytes(memoryview(raw)[:1])
    if first == b'"':
        try:
            return msgspec.json.decode(raw)
        except msgspec.DecodeError:  # half of a surrogate pair
            return 0
    return {b"{": {}, b"[": [], b"t": True, b"f": False, b"n": None}.get(first, 0)


def _told(error: Any) -> list[Fault]:
    """An error of the schema without what it quotes: path and keyword, and our own words."""
    path = ".".join(str(step) for step in error.absolute_path)
    limit = error.validator_value
    if error.validator == "required":
        missing = [f"{path}.{name}" if path else name for name in limit if name not in error.instance]
        return [Fault(name, "required", _missing(name)) for name in missing]
    kinds = " or ".join(limit) if isinstance(limit, list) else limit
    words = {
        "type": f"is not of type {kinds}",
        "minLength": "is empty",
        "maxLength": f"is longer than {limit} characters",
        "pattern": "is not of the form that is allowed",
    }
    return [Fault(path, error.validator, f"{path}: {words[error.validator]}")]


def _missing(name: str) -> str:
    """That a field is missing, and where it is known why."""
    return f"{name}: is missing; {EXPLAINED[name]}" if name in EXPLAINED else f"{name}: is missing"


def _fhir_access(envelope: Envelope, patient_id: str) -> tuple[FhirAccess | None, str]:
    """The FHIR access that the request grants, and why a passed one is not used.

    A token without a server is no access (item 30); a token for another patient is not used at all (item 64).
    """
    base, granted = envelope.fhir_server, envelope.fhir_authorization
    if not base:
        return None, "token-without-fhir-server" if granted else ""
    if granted is None:
        return FhirAccess(base), ""
    for_patient = _text(granted.get("patient")).removeprefix("Patient/")
    if for_patient and for_patient != patient_id:
        return None, "token-for-another-patient"
    kind, token = _text(granted.get("token_type")), _text(granted.get("access_token"))
    if kind.lower() not in ("", "bearer") or not TOKEN.fullmatch(token):
        return None, "token-unusable"
    return FhirAccess(base, token, _seconds(granted.get("expires_in"))), ""


def _seconds(raw: msgspec.Raw | None) -> float | None:
    """expires_in: a number, or the text of one as some clients send it; anything else is not known."""
    try:
        return msgspec.json.decode(raw, type=float, strict=False) if raw is not None else None
    except msgspec.DecodeError:
        return None


def _text(raw: msgspec.Raw | None) -> str:
    """The text of a field that is not worth a 400: "" if it is no text."""
    value = "" if raw is None else _outline(raw)
    return value if isinstance(value, str) else ""
