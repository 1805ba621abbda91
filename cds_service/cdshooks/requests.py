"""What a CDS client sends: the hook request, decoded once, with its prefetch, into a frozen type.

Lenient where real clients differ (checklist items 9, 10, 29 to 37), strict where a wrong reading could concern the
wrong patient. A fault is named by its path and by the keyword of the schema that it breaks, never by its value: the
value may be patient data. Of a JSON key that is sent twice the last one counts, as in most parsers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import msgspec

from ..fhir.resources import Resource
from .faults import NO_OBJECT, NOT_JSON, PARTS, TOO_DEEP, BadRequest, Fault, faults_of, kind_of, text_of
from .registry import DEFAULT_HOOK, HOOKS, Context, Envelope

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TOKEN = re.compile(r"[\x21-\x7e]+")

DEPTH = 64  # our own limit, for parsers differ (checklist item 36)
USUAL = 16  # FHIR in a hook request is hardly ever nested deeper
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
RUNS = (b"}" * 48, b"]" * 48, b"]}" * 24)  # how nested objects, lists, and both in turn close
ONE_KIND = bytes.maketrans(b"[]", b"{}")
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # one level down, one level up, as signed bytes
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


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


def read_request(body: bytes, hook: str) -> HookRequest:
    """The request of a call to an endpoint of `hook`; BadRequest if it cannot be read or is meant for another hook."""
    envelope = _envelope(body, hook)
    if envelope.hook != hook:
        raise BadRequest(_other_hook(hook))
    context = envelope.context
    draft_orders, selections = getattr(context, "draft_orders", None), getattr(context, "selections", None)
    if draft_orders is not None and kind_of(draft_orders) != "object":
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
        text = value if isinstance(value, str) else text_of(value) if isinstance(value, msgspec.Raw) else ""
        if text:
            found[name] = text
    return {**found, "patientId": patient_id}


def named_hook(body: bytes, otherwise: str = DEFAULT_HOOK) -> str:
    """The hook that a saved request names, if we know it."""
    hook = _hook_in(body)
    return hook if hook in HOOKS else otherwise


def _hook_in(body: bytes) -> str:
    """What a body names as its hook; "" for nothing."""
    try:
        return text_of(PARTS.decode(body).get("hook"))
    except (msgspec.DecodeError, RecursionError):  # what is wrong with it is said when it is read
        return ""


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
    """What is wrong with a body that is JSON but no request. Prefetch and orders are not looked at."""
    sent = _hook_in(body) or hook
    kind = HOOKS[sent].envelope if sent in HOOKS else Envelope
    other = () if sent == hook else (_other_hook(hook),)
    return tuple(dict.fromkeys((*other, *faults_of(kind, body)))) or (NO_OBJECT,)


def _fhir_access(envelope: Envelope, patient_id: str) -> tuple[FhirAccess | None, str]:
    """The FHIR access that the request grants, and why a passed one is not used.

    A token without a server is no access (item 30); a token for another patient is not used at all (item 64). An
    access_token that is absent, null or empty is none: a server that may be read without one is read.
    """
    base, granted = envelope.fhir_server, envelope.fhir_authorization
    if not base:
        return None, "token-without-fhir-server" if granted else ""
    if granted is None or not _sent(granted.get("access_token")):
        return FhirAccess(base), ""
    for_patient = text_of(granted.get("patient")).removeprefix("Patient/")
    if for_patient and for_patient != patient_id:
        return None, "token-for-another-patient"
    kind, token = text_of(granted.get("token_type")), text_of(granted.get("access_token"))
    if kind.lower() not in ("", "bearer") or not TOKEN.fullmatch(token):
        return None, "token-unusable"
    return FhirAccess(base, token, _seconds(granted.get("expires_in"))), ""


def _sent(raw: msgspec.Raw | None) -> bool:
    """Was a value passed at all? Null and a blank text are none."""
    return raw is not None and kind_of(raw) != "null" and (kind_of(raw) != "string" or bool(text_of(raw).strip()))


def _seconds(raw: msgspec.Raw | None) -> float | None:
    """expires_in: a number, or the text of one as some clients send it; anything else is not known."""
    try:
        return msgspec.json.decode(raw, type=float, strict=False) if raw is not None else None
    except msgspec.DecodeError:
        return None


# How deep a JSON text is nested


def too_deep(body: bytes) -> bool:
    """Is any value nested deeper than DEPTH?

    Whoever nests deep also closes deep: unless brackets close in a long run, or the text is spread over lines, nothing
    is counted. What escapes this look (closing brackets with other members or texts between them) is skipped unread,
    or exhausts the decoder and is found by `surely_too_deep`.
    """
    if b"\n" not in body and not any(run in body for run in RUNS):
        return False
    left = body.translate(ONE_KIND, NOT_BRACKETS)
    for _ in range(USUAL):
        if not left:
            return False
        left = left.replace(b"{}", b"")
    return bool(left) and surely_too_deep(body)


def surely_too_deep(body: bytes) -> bool:
    """The same, exact: counted outside of strings."""
    steps = STRING.sub(b"", body).translate(STEPS, NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > DEPTH
