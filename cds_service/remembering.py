"""Between a call and the store: about whom it was, what is kept of its answer, and tokens that all processes share.

The store knows neither requests nor answers; here they are put into the words it keeps (`store.records`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial

from .cdshooks.messages import HookRequest, log_name
from .cdshooks.replay import CannotTell, SeenTokens
from .evaluate import Answer, Service
from .http.addresses import AddressRefused, parse_base
from .store.records import CallParties, DecisionRecord, DecisionStore, History, StoreDown


def who(request: HookRequest, client: str, tenant: str | None) -> CallParties:
    """About whom and by whom the call is: the ids are those of the FHIR server that it names, may it be read or not.

    A call that names none stands by itself: of which server its ids are is not said, and is not guessed. Then a card
    that was overridden elsewhere is shown once more, which is the safer mistake.
    """
    return CallParties(client, tenant, in_normal_form(request.fhir_base), request.patient_id, request.tokens["userId"])


def in_normal_form(base: str) -> str:
    """A FHIR base as it is however it was spelled; what is no address as it was sent."""
    try:
        return parse_base(base).url
    except AddressRefused:
        return base


def recall_for(
    store: DecisionStore | None, asked: CallParties, now: datetime, zone: tzinfo
) -> Callable[[], History] | None:
    """The look-up of what is remembered, made only if the pipeline asks; None where nothing is kept."""
    return None if store is None else partial(store.history, asked, milliseconds(now), zone)


def kept(
    found: Answer,
    request: HookRequest,
    service: Service,
    asked: CallParties,
    now: datetime,
    *,
    seconds: float,
    silent: bool,
) -> DecisionRecord:
    """What is kept of an answered call. Of a silent one: what would have been shown."""
    return DecisionRecord(
        at=milliseconds(now),
        who=asked,
        service=service.options.service,
        hook=request.hook,
        hook_instance=log_name(request.hook_instance),
        content=service.content.version,
        pathway=service.pathway.id,
        label=found.decision.label,
        status=found.status,
        silent=silent,
        rows=found.decision.rows,
        missing=found.missing,
        shown=found.shown,
        offered=found.offered,
        suppressed=found.suppressed,
        evidence=found.evidence,
        ms=round(seconds * 1000, 1),
    )


class TokensInStore:
    """Tokens that were seen, remembered by the store for every process (item 123a).

    `otherwise` remembers in this process's memory while the store cannot tell; without it the caller hears 503.
    """

    def __init__(self, store: DecisionStore, otherwise: SeenTokens | None) -> None:
        self._store, self._otherwise = store, otherwise

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        """See `hooks.replay.SeenTokens`. What was seen in the store's absence stays known to this process."""
        if self._otherwise is not None and not self._otherwise.first_time(issuer, jti, until, now):
            return False
        try:
            return self._store.first_time(issuer, jti, until, now)
        except StoreDown:
            if self._otherwise is None:
                raise CannotTell from None
            return True


def milliseconds(moment: datetime) -> int:
    """Since 1970, UTC."""
    return int(moment.timestamp() * 1000)
