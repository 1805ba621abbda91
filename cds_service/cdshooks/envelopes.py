"""Hook requests as they are on the wire, by hook. Unknown fields are skipped; prefetch and orders stay undecoded."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec

# A bare id, or "Patient/id": whatever could lead to another address or header line is no id.
PATIENT_ID = r"^(Patient/)?[^\s/?#\x00-\x1f]+$(?!\n)"

HookInstance = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
PatientId = Annotated[str, msgspec.Meta(max_length=1024, pattern=PATIENT_ID)]


class Context(msgspec.Struct, rename="camel", gc=False):
    """The context of patient-view. `encounterId` is optional and not typed: what is not needed cannot be wrong."""

    user_id: UserId
    patient_id: PatientId
    encounter_id: msgspec.Raw = msgspec.Raw(b"null")


class SignContext(Context, kw_only=True):
    """The context of order-sign: every draft counts."""

    draft_orders: msgspec.Raw


class SelectContext(SignContext, kw_only=True):
    """The context of order-select: the selected drafts count, the others are beside them."""

    selections: list[str]


class Envelope(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """A patient-view request; of other hooks only the context differs."""

    hook: str
    hook_instance: HookInstance
    context: Context
    fhir_server: str | None = None
    fhir_authorization: dict[str, msgspec.Raw] | None = None
    prefetch: dict[str, msgspec.Raw] | None = None


class SignEnvelope(Envelope, kw_only=True):
    """An order-sign request."""

    context: SignContext


class SelectEnvelope(Envelope, kw_only=True):
    """An order-select request."""

    context: SelectContext


DECODERS: Mapping[str, msgspec.json.Decoder[Envelope]] = MappingProxyType(
    {
        "patient-view": msgspec.json.Decoder(Envelope),
        "order-select": msgspec.json.Decoder(SelectEnvelope),
        "order-sign": msgspec.json.Decoder(SignEnvelope),
    }
)
