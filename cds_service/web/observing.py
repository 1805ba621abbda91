"""How an operator sees the service: metrics, health, the OpenAPI document, a remark on content that is past its day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial

import msgspec
from flask import Flask, Response

from .. import __version__
from ..cdshooks.registry import HOOKS
from ..content.content import overdue
from ..evaluate import DRAFT_ORDERS, ClientConfig
from ..metrics import About, Measures, Metrics, NotMeasured, names_of
from .calls import Site
from .errors import JSON, add_error_handlers
from .health import Health, Loaded, add_health
from .openapi import Told, openapi
from .pilots import Pilot, pilots

BEGIN, END = "cds-begin", "cds-end"  # app.extensions: what each process does before it answers, and when it ends


def add_observation(app: Flask, site: Site, measured: bool) -> Site:
    """The addresses that tell how it is, and the site that counts what it does. `measured`: does anybody ask?"""
    clients = clients_of(site)
    configurations = [site.client, *clients.values()]
    loaded = loaded_from(site.client, configurations)

    def today() -> date:
        return site.client.today(site.clock())

    def silent() -> tuple[Pilot, ...]:
        return pilots(site.callers.by_name.values() if site.callers else (), site.clock())

    def review_passed() -> bool:
        return bool(overdue(loaded.review_by, today()))

    metrics: Measures = NotMeasured()
    if measured:
        keys = {key for each in configurations for key in each.templates} | {DRAFT_ORDERS}
        names = names_of(clients, HOOKS, (each.pathway for each in configurations), keys)
        metrics = Metrics(names, About(loaded.version, loaded.content, frozenset(loaded.pathways), review_passed))
    for remark in filter(None, [overdue(loaded.review_by, today()), *(each.remark for each in silent())]):
        site.log.warning("start", remark=remark)
    add_error_handlers(app, site.log, metrics.refused)
    add_document(app, site)
    add_health(app, Health(loaded, today, site.store, needs_store(site), silent))
    app.extensions[BEGIN], app.extensions[END] = partial(begin, site, metrics), partial(end, site)
    return replace(site, metrics=metrics)


def add_document(app: Flask, site: Site) -> None:
    """GET /openapi.json. It is made once: nothing of it changes while the service runs."""
    services = tuple(msgspec.json.decode(site.discovery)["services"])
    open_to_all = site.callers is None or site.callers.discovery_open
    document = msgspec.json.encode(openapi(Told(__version__, services, site.demo, open_to_all)))
    app.add_url_rule("/openapi.json", "openapi", lambda: Response(document, content_type=JSON), methods=["GET"])


def clients_of(site: Site) -> Mapping[str, ClientConfig]:
    """Every client, by its name."""
    return {site.client.name: site.client} if site.callers is None else site.callers.by_name


def needs_store(site: Site) -> bool:
    """Are there clients who cannot be answered while the store is down?"""
    return site.callers is not None and site.callers.needs_store


def loaded_from(client: ClientConfig, clients: list[ClientConfig]) -> Loaded:
    """What was loaded at the start. Of several contents (a site's folder for a client) the first review is due."""
    return Loaded(
        version=__version__,
        content=client.content.version,
        pathways=tuple(sorted({each.pathway.id for each in clients})),
        review_by=min(each.content.review_by for each in clients),
        approved=all(each.content.is_approved for each in clients),
    )


def begin(site: Site, metrics: Measures) -> None:
    """A process begins to answer calls."""
    if site.store is not None:
        site.store.start()
    metrics.begin(None if site.store is None else site.store.state)


def end(site: Site) -> None:
    """A process has answered its last call."""
    if site.store is not None:
        site.store.close()
