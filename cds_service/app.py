"""The application: settings and content become a Flask app. The only place with a calendar."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.request import getproxies_environment

import msgspec
import structlog
from flask import Flask
from structlog.contextvars import merge_contextvars
from structlog.typing import FilteringBoundLogger

from . import __version__
from .auth.access import ClientAccess
from .auth.clients import Client, Clients, load_clients
from .auth.gate import Gate
from .cdshooks.catalogue import LISTINGS, SERVICES, discovery
from .cdshooks.compose import options_for
from .cdshooks.replay import MemoryOfTokens, SeenTokens
from .content.content import Content, load_content
from .content.files import cards_folder
from .evaluate import REQUIRED, Service, answer
from .fhir.drafts import build_drafts
from .http.addresses import parse_base
from .http.client import HttpClient, Policy
from .http.connections import unused_proxies
from .remembering import TokensInStore
from .settings import FORGETFUL, NO_CLIENTS, Settings, SettingsError, load_settings, start_remarks
from .store.opening import NONE, CannotOpen, open_store
from .store.records import DecisionStore
from .web.bodies import READ_AT_MOST
from .web.callers import Caller, Callers, remarks
from .web.calls import Endpoint, Site, add_routes
from .web.observing import add_observation

Clock = Callable[[], datetime]
SECONDS, DEMO_SECONDS = 2.0, 8.0
GC_THRESHOLDS = (50_000, 50, 50)
WELCOME = """B12 CDS {version}: a CDS Hooks service for vitamin B12 deficiency.

Discovery: GET /cds-services
Call:      {calls}
Content:   {content} {content_version}, pathway {pathway}
{mode}"""
DEMO = "\nDEMO MODE: no client is authenticated, only this machine is answered. Not for real patients.\n"


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def create_app(settings: Settings | None = None, clock: Clock = now) -> Flask:
    """The service as a WSGI application. SettingsError or ContentError say why there can be none."""
    settings = settings or load_settings()
    clients = None if settings.demo else read_clients(settings)
    log = call_log(clock)
    content = load_content(cards_folder(), settings.site_dir)
    service = build_service(settings, content)
    store = store_of(settings, clock)
    for remark in start_remarks(settings, os.environ):
        log.warning("start", remark=remark)
    app = Flask("cds_service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = READ_AT_MOST
    site = replace(build_site(service, settings, clock, log), store=store)
    site = site if clients is None else behind_the_gate(site, clients, settings, content)
    add_routes(app, add_observation(app, site, service, measured=bool(settings.metrics_port)))
    if shows_pages(settings):
        add_what_people_see(app, settings, site, content)
    settle_memory()
    return app


def shows_pages(settings: Settings) -> bool:
    """Pages for people: always in a demo, and where the operator has switched them on."""
    return settings.demo or settings.playground


def add_what_people_see(app: Flask, settings: Settings, site: Site, content: Content) -> None:
    """The pages. Imported here, because a worker that has none need not hold them."""
    from .ui.client import PageClient
    from .ui.content_pages import add_content_pages
    from .ui.playground import add_pages, except_this_service

    built = {name: build_service(settings.model_copy(update={"pathway": name}), content) for name in content.pathways}
    client = PageClient(
        services={(name, hook): of_hook(each, hook) for name, each in built.items() for hook in SERVICES},
        pathway=settings.pathway,
        evaluate=answer,
        fetch_for=except_this_service(site.outgoing),
        clock=site.clock,
        log=site.log,
        seconds=site.seconds,
        name="demo" if settings.demo else "playground",
        store=site.store,
        fhir_limits=site.fhir_limits,
    )
    add_pages(app, client, site.room, settings.demo, settings.bases_without_client)
    add_content_pages(app, {"": content, **contents_of(site.callers)}, client.today)


def contents_of(callers: Callers | None) -> dict[str, Content]:
    """The contents of clients that have a site of their own, by the client's name."""
    by_name = callers.by_name if callers else {}
    found = {name: next(iter(caller.endpoints.values())).service.content for name, caller in by_name.items()}
    return {name: content for name, content in found.items() if content.site.folder}


def read_clients(settings: Settings) -> Clients:
    """Who may call, where it is not demo mode. Without them, or with some that cannot be kept apart, nothing starts."""
    if settings.clients is None:
        raise SettingsError(NO_CLIENTS)
    clients = load_clients(settings.clients)
    once = any(client.once for client in clients.all)
    if once and settings.store_url == NONE and settings.workers > 1 and not clients.memory_per_process:
        raise SettingsError(FORGETFUL)
    return clients


def store_of(settings: Settings, clock: Clock) -> DecisionStore | None:
    """The store that the settings name, which is not touched before a process uses it; None where nothing is kept."""
    try:
        return open_store(
            settings.store_url,
            settings.store_keys,
            demo=settings.demo,
            clock=clock,
            days=settings.store_days,
            override_days=settings.override_days,
            accepted_days=settings.accepted_days,
        )
    except CannotOpen as error:
        raise SettingsError(str(error)) from None


def tokens_seen(store: DecisionStore | None, clients: Clients) -> SeenTokens:
    """What remembers tokens: the store for all processes, and this one's memory where there is none or it may help."""
    if store is None:
        return MemoryOfTokens()
    return TokensInStore(store, MemoryOfTokens() if clients.memory_per_process else None)


def behind_the_gate(site: Site, clients: Clients, settings: Settings, content: Content) -> Site:
    """The site as clients see it: each has its own endpoints. The only one's catalogue is everybody's."""
    contents = {None: content}  # by the folder laid over ours
    callers = {}
    for client in clients.all:
        if client.site not in contents:
            contents[client.site] = load_content(cards_folder(), client.site)
        service = service_for(client, settings, contents[client.site])
        theirs = build_site(service, settings, site.clock, site.log)
        answered = (theirs.endpoints, theirs.discovery, ClientAccess(client).fetch_for, client.seconds_for)
        callers[client.name] = Caller(client.name, *answered, client.silent, client.silent_until)
    told = [*remarks(clients, kept=site.store is not None), unused_proxies(getproxies_environment())]
    for remark in filter(None, told):
        site.log.warning("start", remark=remark)
    gate = Gate(clients.all, tokens_seen(site.store, clients), site.log.log)
    catalogue = theirs.discovery if len(callers) == 1 else site.discovery
    alone = clients.memory_per_process or not any(client.once for client in clients.all)
    behind = Callers(gate, callers, clients.discovery_open, site.log, needs_store=not alone)
    return replace(site, discovery=catalogue, callers=behind)


def service_for(client: Client, settings: Settings, content: Content) -> Service:
    """The service as one client gets it: its pathway, and how it wants to be answered."""
    name = client.pathway or settings.pathway
    if name not in content.pathways:
        known = ", ".join(sorted(content.pathways))
        raise SettingsError(f'CDS_CLIENTS: client "{client.name}" pathway: no pathway {name!r}; allowed: {known}')
    service = build_service(settings.model_copy(update={"pathway": name}), content)
    options = replace(service.options, client=client.name, **client.cards)
    return replace(service, options=options, on_missing=client.on_missing)


def build_service(settings: Settings, content: Content, hook: str = "patient-view") -> Service:
    """All that the endpoint of a hook needs, put together once."""
    pathway = content.pathways.get(settings.pathway)
    if pathway is None:
        known = ", ".join(sorted(content.pathways))
        raise SettingsError(f"CDS_PATHWAY: no pathway of that name; allowed: {known}")
    return Service(
        content=content,
        pathway=pathway,
        drafts=build_drafts(content, pathway),
        templates=content.prefetch[settings.prefetch],
        zone=settings.zone_with(content.site.time_zone),
        options=options_for(pathway, approved=content.is_approved, service=SERVICES[hook], **content.site.cards),
    )


def build_site(service: Service, settings: Settings, clock: Clock, log: FilteringBoundLogger) -> Site:
    """What the routes need."""
    catalogue = discovery([listed(service.pathway.title, service.templates, REQUIRED) for listed in LISTINGS])
    welcome = WELCOME.format(
        version=__version__,
        calls="\n           ".join(f"POST /cds-services/{each} (hook {hook})" for hook, each in SERVICES.items()),
        content=service.content.title,
        content_version=service.content.version,
        pathway=service.pathway.id,
        mode=DEMO if settings.demo else "",
    )
    policy = Policy(bases=tuple(parse_base(base) for base in settings.bases_without_client), demo=settings.demo)
    return Site(
        endpoints={each: Endpoint(hook, of_hook(service, hook)) for hook, each in SERVICES.items()},
        discovery=msgspec.json.encode(catalogue),
        welcome="" if shows_pages(settings) else welcome,
        answer=answer,
        outgoing=HttpClient(policy),
        clock=clock,
        log=log,
        seconds=DEMO_SECONDS if settings.demo else SECONDS,
        demo=settings.demo,
        origins=frozenset(settings.origins),
    )


def of_hook(service: Service, hook: str) -> Service:
    """The service as the endpoint of a hook gives it: only the ids that it makes are its own."""
    return replace(service, options=replace(service.options, service=SERVICES[hook]))


def call_log(clock: Clock) -> FilteringBoundLogger:
    """One JSON object a line, on the standard error stream."""

    def stamped(_: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        first = {"at": clock().isoformat(timespec="milliseconds"), "level": level, "event": event.pop("event")}
        return first | event

    render = structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event))
    steps = [merge_contextvars, stamped, render]
    return structlog.wrap_logger(structlog.BytesLogger(sys.stderr.buffer), processors=steps)


def settle_memory() -> None:
    """What was loaded stays: keep the garbage collector from walking over it, and let it come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
