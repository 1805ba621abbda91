"""What one CDS client gets: `ClientConfig` holds everything that an answer to it depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from types import MappingProxyType
from typing import Any

from ..clinical.tables import Pathway
from ..content.content import Content
from ..fetching import Fetch
from ..fhir.drafts import Drafts
from .cards import CardOptions
from .registry import discovery
from .requests import HookRequest

Json = dict[str, Any]

REQUIRED = ("patient", "b12")
SECONDS = 2.0  # for one call, where the client's settings say nothing

READY, NONE_PASSED = "ready", "none passed"
UNUSED = {  # warning of a request whose FHIR access is not used -> why, in words for the client and the log
    "token-for-another-patient": "fhirAuthorization is for another patient",
    "token-unusable": "fhirAuthorization holds no token that can be used",
    "token-without-fhir-server": "fhirAuthorization came without it",
}

Access = tuple[Fetch | None, str]  # a fetch, or None and why there is none


def no_access(base: str, token: str, lifetime: float | None, tenant: str | None) -> Access:
    """Nothing may be fetched."""
    return None, "no FHIR server may be called"


def unlimited(base: str, fetch: Fetch | None) -> AbstractContextManager[Fetch | None]:
    """As many calls as there are may be with one FHIR server."""
    return nullcontext(fetch)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """All that one CDS client gets: content, prefetch, layout of cards, time, FHIR servers, silent mode.

    Two clients with equal configurations get equal answers to equal requests, but for the ids that hold their name.
    """

    name: str
    content: Content
    pathway: Pathway
    drafts: Drafts  # templates of the orders that cards suggest
    templates: Mapping[str, str]  # prefetch key -> template
    zone: tzinfo  # whose calendar days count
    cards: CardOptions
    on_missing: str = "412"  # 412 | card
    cds_hooks: str = "2.0"  # 2.0 | 3.0: what the client is known to speak; never guessed from what it announces
    zone_stated: bool = True  # False: nobody has said which zone that is, and UTC stands in
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # hook -> time for one call
    default_seconds: float = SECONDS
    silent: bool = False  # calls are decided and recorded, but no card is sent: a pilot
    silent_until: date | None = None  # its last day
    tenant: str | None = None  # of the token that the present call came with
    access: Callable[[str, str, float | None, str | None], Access] = no_access  # base, token, lifetime, tenant
    limit: Callable[[str, Fetch | None], AbstractContextManager[Fetch | None]] = unlimited

    def seconds_for(self, hook: str) -> float:
        """The time for one call, from its arrival."""
        return self.seconds.get(hook, self.default_seconds)

    def fetch_for(self, request: HookRequest) -> Access:
        """A fetch from the FHIR server that the request names, and READY; or None, and why there is none."""
        access = request.fhir_access
        if access is None:
            return None, next((UNUSED[warning] for warning in request.warnings if warning in UNUSED), NONE_PASSED)
        fetch, why = self.access(access.base, access.token, access.lifetime, self.tenant)
        return fetch, why or READY

    def is_silent(self, now: datetime) -> bool:
        """Is no card sent at that moment?"""
        return self.silent and not self.pilot_ended(now)

    def pilot_ended(self, now: datetime) -> bool:
        """Is the last day of silent mode over?"""
        return self.silent_until is not None and self.today(now) > self.silent_until

    def today(self, now: datetime) -> date:
        """The calendar day of a moment where this client is."""
        return now.astimezone(self.zone).date()

    def discovery(self) -> Json:
        """The answer of GET /cds-services."""
        return discovery(self.pathway.title, self.templates, REQUIRED, self.cds_hooks)
