"""The application: settings and content become a Flask app. The only place with a calendar."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from flask import Flask
from structlog.typing import FilteringBoundLogger

from . import __version__
from .addresses import parse_base
from .config import Settings, SettingsError, load_settings
from .fhir.drafts import build_drafts
from .hooks.catalogue import PATIENT_VIEW, discovery, listed_patient_view
from .hooks.compose import options_for
from .knowledge.content import Content, load_content
from .knowledge.locate import cards_folder
from .outgoing import Outgoing, Policy
from .pipeline import REQUIRED, Service, answer
from .web import READ_AT_MOST, Endpoint, Site, add_routes
from .web_errors import add_error_handlers

Clock = Callable[[], datetime]
SECONDS, DEMO_SECONDS = 2.0, 8.0
GC_THRESHOLDS = (50_000, 50, 50)
NO_CLIENTS = (
    "without demo mode the service does not start: clients, and who may call, are not built yet. "
    "Start it with --demo (CDS_DEMO=1); it then answers this machine only."
)
WELCOME = """B12 CDS {version}: a CDS Hooks service for vitamin B12 deficiency.

Discovery: GET /cds-services
Call:      POST /cds-services/{service} (hook patient-view)
Content:   {content} {content_version}, pathway {pathway}
{mode}"""
DEMO = "\nDEMO MODE: no client is authenticated, only this machine is answered. Not for real patients.\n"


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def create_app(settings: Settings | None = None, clock: Clock = now) -> Flask:
    """The service as a WSGI application. SettingsError or ContentError say why there can be none."""
    settings = settings or load_settings()
    if not settings.demo:
        raise SettingsError(NO_CLIENTS)
    log = call_log(clock)
    content = load_content(cards_folder(), settings.site_dir)
    service = build_service(settings, content)
    app = Flask("cds_service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = READ_AT_MOST
    add_error_handlers(app, log)
    add_routes(app, build_site(service, settings, clock, log))
    settle_memory()
    return app


def build_service(settings: Settings, content: Content) -> Service:
    """All that the patient-view endpoint needs, put together once."""
    pathway = content.pathways.get(settings.pathway)
    if pathway is None:
        known = ", ".join(sorted(content.pathways))
        raise SettingsError(f"CDS_PATHWAY: no pathway of that name; allowed: {known}")
    return Service(
        content=content,
        pathway=pathway,
        drafts=build_drafts(content, pathway),
        templates=content.prefetch[settings.prefetch],
        zone=settings.zone,
        options=options_for(pathway, approved=bool(content.approver), service=PATIENT_VIEW),
    )


def build_site(service: Service, settings: Settings, clock: Clock, log: FilteringBoundLogger) -> Site:
    """What the routes need."""
    catalogue = discovery([listed_patient_view(service.pathway.title, service.templates, REQUIRED)])
    welcome = WELCOME.format(
        version=__version__,
        service=PATIENT_VIEW,
        content=service.content.title,
        content_version=service.content.version,
        pathway=service.pathway.id,
        mode=DEMO if settings.demo else "",
    )
    policy = Policy(bases=tuple(parse_base(base) for base in settings.fhir_bases), demo=settings.demo)
    return Site(
        endpoints={PATIENT_VIEW: Endpoint("patient-view", service)},
        discovery=msgspec.json.encode(catalogue),
        welcome=welcome,
        answer=answer,
        outgoing=Outgoing(policy),
        clock=clock,
        log=log,
        seconds=DEMO_SECONDS if settings.demo else SECONDS,
        demo=settings.demo,
        origins=frozenset(settings.origins),
    )


def call_log(clock: Clock) -> FilteringBoundLogger:
    """One JSON object a line, on the standard error stream."""

    def stamped(_: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        first = {"at": clock().isoformat(timespec="milliseconds"), "level": level, "event": event.pop("event")}
        return first | event

    render = structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event))
    return structlog.wrap_logger(structlog.BytesLogger(sys.stderr.buffer), processors=[stamped, render])


def settle_memory() -> None:
    """What was loaded stays: keep the garbage collector from walking over it, and let it come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
