"""The application: settings and content become a Flask app. The only place with a calendar."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import msgspec
import structlog
from flask import Flask
from structlog.contextvars import merge_contextvars
from structlog.typing import FilteringBoundLogger, Processor

from . import __version__
from .auth.admission import Admission, ClientAccess
from .auth.clients import Client, Clients, load_clients
from .auth.tokens import MemoryOfTokens, SeenTokens, TokensInStore
from .bounds import MEGABYTE, MemoryLimit
from .cdshooks.cards import card_options
from .cdshooks.client_config import SECONDS, Access, ClientConfig
from .cdshooks.registry import HOOKS
from .content.content import Content, load_content
from .content.files import cards_folder
from .fetching import Fetch
from .fhir.drafts import build_drafts
from .http.addresses import Policy, parse_base
from .http.client import HttpClient
from .http.concurrency import ConcurrencyLimits
from .http.connections import unused_proxies
from .settings import FORGETFUL, NO_CLIENTS, Settings, SettingsError, load_settings, start_remarks
from .store.opening import NONE, CannotOpen, open_store
from .store.records import DecisionStore
from .web.about import add_about
from .web.access import Callers, remarks
from .web.calls import Site, add_routes
from .web.health import add_observation
from .web.traces import NotRecorded, Recorded

Clock = Callable[[], datetime]
Limit = Callable[[str, Fetch | None], AbstractContextManager[Fetch | None]]
DEMO_SECONDS = 8.0
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
    limit = ConcurrencyLimits().admit
    site = build_site(demo_client(settings, content, limit), settings, clock, log)
    configs = client_configs(clients, settings, content, limit) if clients is not None else {}
    # What cannot be used was refused by now, in one line: nothing is opened and nothing remarked before that.
    site = replace(site, store=store_of(settings, clock))
    for remark in start_remarks(settings, os.environ, content.site.time_zone):
        log.warning("start", remark=remark)
    app, largest = Flask("cds_service", static_folder=None), settings.max_body_mb * MEGABYTE
    app.config["MAX_CONTENT_LENGTH"] = largest + 1  # Flask cuts a body of unknown length there without a word
    if clients is not None:
        site = with_clients(site, clients, configs)
    site = add_observation(app, site, measured=bool(settings.metrics_port))
    add_routes(app, site)
    if shows_pages(settings):
        add_what_people_see(app, settings, site, content)
    else:
        add_about(app, content, contents_of(site.callers).values())
    if clients is not None and any(client.smart for client in clients.all):
        add_smart_launch(app, settings, site, clients, configs)
    settle_memory()
    return app


def shows_pages(settings: Settings) -> bool:
    """Pages for people: always in a demo, and where the operator has switched them on."""
    return settings.demo or settings.playground


def add_what_people_see(app: Flask, settings: Settings, site: Site, content: Content) -> None:
    """The pages. Imported here, because a worker that has none need not hold them."""
    from .ui.client import PageClient
    from .ui.content_pages import add_content_pages
    from .ui.playground import add_pages

    chosen = {name: settings.model_copy(update={"pathway": name}) for name in content.pathways}
    configs = {name: demo_client(each, content, site.client.limit) for name, each in chosen.items()}
    client = PageClient(
        configs={name: replace(config, name=visitor(settings)) for name, config in configs.items()},
        pathway=settings.pathway,
        clock=site.clock,
        log=site.log,
        store=site.store,
    )
    add_pages(app, client, site.limit, settings.demo, settings.bases_without_client)
    add_content_pages(app, {"": content, **contents_of(site.callers)}, client.today)
    if settings.demo or settings.studio:
        from .ui.studio import Studio, add_studio

        def configured(pathway: str, other: Content) -> ClientConfig:
            return client_config(settings.model_copy(update={"pathway": pathway}), other)

        def ours() -> Content:
            return load_content(content.folder) if content.site.folder else content

        add_studio(app, Studio(ours, configured, client.today), site.limit)


def add_smart_launch(
    app: Flask, settings: Settings, site: Site, clients: Clients, configs: Mapping[str, ClientConfig]
) -> None:
    """The evidence view as a SMART app. Imported here, because a worker without one need not hold it."""
    from .smart.pages import add_smart_pages, cookie_keys
    from .smart.servers import record_systems

    add_smart_pages(app, record_systems(clients.all, configs, site.log.log), site, cookie_keys(settings))


def visitor(settings: Settings) -> str:
    """The name under which the pages call."""
    return "demo" if settings.demo else "playground"


def contents_of(callers: Callers | None) -> dict[str, Content]:
    """The contents of clients that have a site of their own, by the client's name."""
    by_name = callers.by_name if callers else {}
    return {name: client.content for name, client in by_name.items() if client.content.site.folder}


def read_clients(settings: Settings) -> Clients:
    """Who may call, outside demo mode. Without clients, or with two that cannot be distinguished, nothing starts."""
    if settings.clients is None:
        raise SettingsError(NO_CLIENTS)
    clients = load_clients(settings.clients)
    once = any(client.once for client in clients.all)
    if once and settings.store_url == NONE and settings.workers > 1 and not clients.memory_per_process:
        raise SettingsError(FORGETFUL)
    return clients


def store_of(settings: Settings, clock: Clock) -> DecisionStore | None:
    """The store that the settings name, which is not touched before a process uses it; None where nothing is stored."""
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


def client_configs(clients: Clients, settings: Settings, content: Content, limit: Limit) -> dict[str, ClientConfig]:
    """What each client gets, by its name. A folder that several lay over our content is loaded once."""
    contents: dict[Path | None, Content] = {None: content}
    found = {}
    for client in clients.all:
        if client.site not in contents:
            contents[client.site] = load_content(cards_folder(), client.site)
        found[client.name] = replace(client_config(settings, contents[client.site], client), limit=limit)
    return found


def client_config(settings: Settings, content: Content, client: Client | None = None) -> ClientConfig:
    """What a client gets by the settings, its content and its table in clients.toml; without one, what they say."""
    name = settings.pathway if client is None else client.pathway or settings.pathway
    pathway = content.pathways.get(name)
    if pathway is None:
        known = ", ".join(sorted(content.pathways))
        if client is None:
            raise SettingsError(f"CDS_PATHWAY: no pathway of that name; allowed: {known}")
        raise SettingsError(f'CDS_CLIENTS: client "{client.name}" pathway: no pathway {name!r}; allowed: {known}')
    options = {} if client is None else {**client.cards, "action_selection": client.cds_hooks == "3.0"}
    if client is not None and client.smart is not None:
        options["smart_launch"] = f"{client.issuer.base_url}/smart/launch"
    config = ClientConfig(
        name="demo",
        content=content,
        pathway=pathway,
        drafts=build_drafts(content, pathway),
        templates=content.prefetch[settings.prefetch],
        zone=settings.zone_with(content.site.time_zone),
        zone_stated=settings.states_zone(content.site.time_zone),
        cards=card_options(pathway, content.is_approved, **{**content.site.cards, **options}),
        on_missing=settings.on_missing,
    )
    if client is None:
        return config
    return replace(
        config,
        name=client.name,
        on_missing=client.on_missing,
        cds_hooks=client.cds_hooks,
        seconds=client.seconds,
        silent=client.silent,
        silent_until=client.silent_until,
        access=ClientAccess(client, settings.max_body_mb * MEGABYTE).fetch_for,
    )


def demo_client(settings: Settings, content: Content, limit: Limit) -> ClientConfig:
    """What somebody gets who is no client: on this machine in demo mode, on the pages, and on the command line."""
    policy = Policy(bases=tuple(parse_base(base) for base in settings.bases_without_client), demo=settings.demo)
    policy = replace(policy, answer_bytes=settings.max_body_mb * MEGABYTE, call_bytes=settings.max_body_mb * MEGABYTE)
    outgoing = HttpClient(policy)

    def access(base: str, token: str, lifetime: float | None, tenant: str | None) -> Access:
        return outgoing.fetch_for(base, token, lifetime)

    seconds = DEMO_SECONDS if settings.demo else SECONDS
    return replace(client_config(settings, content), default_seconds=seconds, access=access, limit=limit)


def with_clients(site: Site, clients: Clients, configs: Mapping[str, ClientConfig]) -> Site:
    """The site as clients see it, each by its token. The only one's catalogue is everybody's."""
    remarked = [*remarks(clients, kept=site.store is not None), unused_proxies(getproxies_environment())]
    for remark in filter(None, remarked):
        site.log.warning("start", remark=remark)
    admission = Admission(clients.all, tokens_seen(site.store, clients), site.log.log)
    catalogues = {name: msgspec.json.encode(config.discovery()) for name, config in configs.items()}
    catalogue = next(iter(catalogues.values())) if len(catalogues) == 1 else site.discovery
    alone = clients.memory_per_process or not any(client.once for client in clients.all)
    behind = Callers(admission, configs, catalogues, clients.discovery_open, site.log, needs_store=not alone)
    urls = [*(client.issuer.base_url for client in clients.all), *site.origins]
    hosts = frozenset(urlsplit(url).hostname or "" for url in urls)
    return replace(site, discovery=catalogue, callers=behind, page_hosts=None if site.welcome else hosts)


def build_site(client: ClientConfig, settings: Settings, clock: Clock, log: FilteringBoundLogger) -> Site:
    """What the routes need."""
    welcome = WELCOME.format(
        version=__version__,
        calls="\n           ".join(f"POST /cds-services/{hook.service_id} (hook {hook.id})" for hook in HOOKS.values()),
        content=client.content.title,
        content_version=client.content.version,
        pathway=client.pathway.id,
        mode=DEMO if settings.demo else "",
    )
    return Site(
        client=client,
        discovery=msgspec.json.encode(client.discovery()),
        welcome="" if shows_pages(settings) else welcome,
        clock=clock,
        log=log,
        demo=settings.demo,
        origins=frozenset(settings.origins),
        memory=MemoryLimit(settings.max_body_mb * MEGABYTE),
        traces=Recorded(settings.traces_url, log) if settings.traces_url else NotRecorded(),
    )


def call_log(clock: Clock) -> FilteringBoundLogger:
    """One JSON object a line, on the standard error stream."""

    def stamped(_: Any, level: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        name = event.pop("event")
        return {"at": clock().isoformat(timespec="milliseconds"), "level": level, "event": name, **event}

    render = structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event))
    steps: list[Processor] = [merge_contextvars, stamped, render]
    logger = structlog.wrap_logger(structlog.BytesLogger(sys.stderr.buffer), processors=steps)
    log: FilteringBoundLogger = logger.bind()  # once: what is wrapped and not bound is bound anew for every line
    return log


def settle_memory() -> None:
    """What was loaded stays: keep the garbage collector from walking over it, and let it come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
