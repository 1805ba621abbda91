"""The hooks that this service answers: one entry each. Everything that lists hooks is derived from these entries.

From an entry follow the id of the service, how its requests are decoded, its JSON Schema, its place in discovery, in
the OpenAPI document and in clients.toml, and its route. To answer one more hook, add one entry to `HOOKS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from ..fhir.resources import Resource
from ..fhir.tokens import UnknownToken
from ..fhir.tokens import check as check_tokens

Json = dict[str, Any]
NOTHING = msgspec.Raw(b"null")

# A bare id, or "Patient/id": whatever could lead to another address or header line is no id.
PATIENT_ID = r"^(Patient/)?[^\s/?#\x00-\x1f]+$(?!\n)"
HOOK_ID = re.compile(r"[a-z]+(-[a-z]+)*")
PATHWAY = "{pathway}"  # in a description: the title of the client's pathway
BALLOT = "3.0.0-ballot"  # the version of CDS Hooks that clients of 3.0 are answered in; it is not published yet

HookInstance = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
PatientId = Annotated[
    str,
    msgspec.Meta(
        max_length=1024,
        pattern=PATIENT_ID,
        description="A bare id; the form Patient/id is accepted and stripped.",
    ),
]


def nothing() -> msgspec.Raw:
    """What an undecoded field is that was not sent."""
    return NOTHING


class Context(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """The context of a hook about one patient. `encounterId` is optional and not typed: what is not needed cannot be
    wrong. Every field that is a text can be named by a prefetch template."""

    user_id: UserId
    patient_id: PatientId
    encounter_id: msgspec.Raw = msgspec.field(default_factory=nothing)


class OrderContext(Context, kw_only=True):
    """The context of a hook that carries orders: every draft counts."""

    draft_orders: Annotated[
        msgspec.Raw,
        msgspec.Meta(description="A Bundle, with or without its type.", extra_json_schema={"type": "object"}),
    ]


class SelectContext(OrderContext, kw_only=True):
    """The context of order-select: the selected drafts count, the others are context."""

    selections: list[str]


class Envelope(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """A hook request as it is on the wire. Unknown fields are skipped; prefetch and orders stay undecoded."""

    hook: str
    hook_instance: HookInstance
    context: Context
    fhir_server: str | None = None
    fhir_authorization: dict[str, msgspec.Raw] | None = None
    prefetch: dict[str, msgspec.Raw] | None = None  # decoded resources, where the whole request fits


@dataclass(frozen=True)
class Hook:
    """One hook that is answered. `description` names the pathway where it says {pathway}. `version` is that of the
    published definition (item 21). `later_prefetch` are templates with FHIRPath in their tokens, for clients that are
    known to speak CDS Hooks 3.0 (item 42)."""

    id: str
    context: type[Context]
    title: str
    description: str
    version: str = "1.0"
    later_prefetch: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an incomplete entry, so that the service does not start with it."""
        for wrong, what in (
            (not HOOK_ID.fullmatch(self.id), "is no id of a hook; allowed: small letters and hyphens"),
            (not issubclass(self.context, Context), "has a context that is no Context"),
            (not self.title.strip(), "has no title"),
            (PATHWAY not in self.description, f"has a description that does not name its pathway ({PATHWAY})"),
        ):
            if wrong:
                raise ValueError(f"hook {self.id!r} {what}")
        if self.carries_orders and not issubclass(self.context, OrderContext):
            why = "has draftOrders in a context that is no OrderContext, which says that they must be sent"
            raise ValueError(f"hook {self.id!r} {why}")
        for key, template in self.later_prefetch.items():
            try:
                check_tokens(template)
            except UnknownToken as unknown:
                raise ValueError(f"hook {self.id!r} has a template {key!r} with a token {unknown}") from None

    @property
    def service_id(self) -> str:
        """The id of its CDS service. Each hook has one of its own: some clients go by id alone (item 19)."""
        return f"b12-{self.id}"

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of its context's fields, as a client writes them."""
        return frozenset(field.encode_name for field in msgspec.structs.fields(self.context))

    @property
    def carries_orders(self) -> bool:
        """Is it about draft orders?"""
        return "draftOrders" in self.fields

    @cached_property
    def envelope(self) -> type[Envelope]:
        """The type of its requests."""
        name = "".join(part.title() for part in self.id.split("-"))
        made: type[Any] = msgspec.defstruct(
            f"{name}Request", [("context", self.context)], bases=(Envelope,), rename="camel", gc=False, kw_only=True
        )
        return made

    @cached_property
    def whole_decoder(self) -> msgspec.json.Decoder[Envelope]:
        """Decodes its requests together with their prefetch, in one pass; ValidationError where something is odd."""
        prefetch = ("prefetch", dict[str, Resource | None] | None, None)
        return msgspec.json.Decoder(
            msgspec.defstruct(f"Whole{self.envelope.__name__}", [prefetch], bases=(self.envelope,), gc=False)
        )

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Envelope]:
        """Decodes its requests; the prefetch stays undecoded, to be read key by key."""
        return msgspec.json.Decoder(self.envelope)

    def listed(
        self, pathway_title: str, templates: Mapping[str, str], required: Iterable[str], cds_hooks: str = "2.0"
    ) -> Json:
        """Its entry in discovery, for a client with that pathway and those prefetch templates, and the version of CDS
        Hooks that it speaks: from 3.0 on an entry says its own (items 20, 21)."""
        entry = {
            "hook": self.id,
            "title": self.title,
            "description": self.description.replace(PATHWAY, pathway_title),
            "id": self.service_id,
            "prefetch": dict(templates),
            "usageRequirements": f"{needs(required)} {UNSIGNED}" if self.carries_orders else needs(required),
        }
        if cds_hooks == "3.0":
            prefetch = {**templates, **self.later_prefetch}
            entry |= {"prefetch": prefetch, "version": BALLOT, "hookVersion": self.version}
        return {name: value for name, value in entry.items() if value}


UNSIGNED = "The orders must come in context.draftOrders: grant the scopes for unsigned orders."


def needs(required: Iterable[str]) -> str:
    """What every service needs of its client."""
    return (
        f"Needs the prefetch keys {' and '.join(required)}, or FHIR access to read them. With fewer of the other "
        "keys it answers with less certainty and says so. Data counts by its resourceType, under whatever key it is "
        "sent."
    )


def registered(*hooks: Hook) -> Mapping[str, Hook]:
    """The hooks by id; ValueError where two have the same."""
    if len({hook.id for hook in hooks}) < len(hooks):
        raise ValueError("a hook is registered twice")
    return MappingProxyType({hook.id: hook for hook in hooks})


ORDERED = MappingProxyType(  # drafts may name their medicine by a reference alone: sent along, it need not be fetched
    {
        "orderedMedications": "Medication?_id="
        "{{context.draftOrders.entry.resource.ofType(MedicationRequest).medication.resolve().id}}"
    }
)
HOOKS = registered(
    Hook(
        "patient-view",
        Context,
        title="Vitamin B12 deficiency",
        description=(
            "Says how likely vitamin B12 deficiency is, which tests come next and which treatment the guideline "
            "advises, with drafts to accept. Pathway: {pathway}."
        ),
    ),
    Hook(
        "order-select",
        SelectContext,
        title="Vitamin B12: orders as they are chosen",
        later_prefetch=ORDERED,
        description=(
            "Looks at the orders just chosen: folic acid before B12, B12 that does not suit the patient or differs "
            "from the guideline's regimen, tests of B12 that another test answers better, and medicines that lower "
            "B12. Other orders are answered at once, without a card. Pathway: {pathway}."
        ),
    ),
    Hook(
        "order-sign",
        OrderContext,
        title="Vitamin B12: orders as they are signed",
        later_prefetch=ORDERED,
        description=(
            "Looks at every order that is about to be signed, as the order-select service does at those just chosen. "
            "Pathway: {pathway}."
        ),
    ),
)
DEFAULT_HOOK = "patient-view"  # of a saved request that does not say
BY_SERVICE_ID: Mapping[str, Hook] = MappingProxyType({hook.service_id: hook for hook in HOOKS.values()})


def discovery(
    pathway_title: str, templates: Mapping[str, str], required: Iterable[str], cds_hooks: str = "2.0"
) -> Json:
    """The answer of GET /cds-services: every hook, for a client with that pathway, those prefetch templates and that
    version of CDS Hooks."""
    return {"services": [hook.listed(pathway_title, templates, tuple(required), cds_hooks) for hook in HOOKS.values()]}
