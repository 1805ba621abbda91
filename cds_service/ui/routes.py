"""The addresses of the pages. They exist in demo mode, or where the operator has switched them on (CDS_PLAYGROUND)."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask, current_app, request

from cds_service.cdshooks.catalogue import SERVICES
from cds_service.clinical.case import written
from cds_service.fetching import Fetch
from cds_service.http.addresses import leads_here
from cds_service.http.client import HttpClient
from cds_service.web.feedback import FeedbackDesk
from cds_service.web.room import Room

from .answer_view import indicator, markdown
from .desk import Desk, Way
from .examples import Examples
from .fhir_page import FhirPage
from .frame import add_frame, placed, shown
from .playground import Playground


def add_pages(app: Flask, desk: Desk, room: Room, demo: bool, bases: tuple[str, ...]) -> None:
    """The frame, the playground, the example patients and the FHIR tab, which may call `bases`."""
    add_frame(app, demo, playground=True)
    app.add_template_filter(markdown, "markdown")
    app.add_template_filter(written, "day")
    told = {"indicator": indicator, "default_pathway": desk.pathway, "has_content": has_content}
    told |= {"demo": demo, "services": SERVICES}
    app.jinja_env.globals.update(told)
    feedback_desk = FeedbackDesk(desk.store, desk.clock, desk.log, not_counted)
    pages = Playground(desk, Examples(desk.pathway, desk.pathways), feedback_desk)
    fhir = FhirPage(desk, bases)
    for path, name, view, method in (
        ("/", "playground", pages.start, "GET"),
        ("/", "page_answer", pages.answer, "POST"),
        ("/examples", "examples", pages.search, "GET"),
        ("/evidence", "evidence", pages.evidence, "POST"),
        ("/feedback", "page_feedback", pages.feedback, "POST"),
        ("/request.json", "request_file", pages.request_file, "POST"),
        ("/fhir", "fhir", fhir.start, "GET"),
        ("/fhir", "fhir_search", fhir.search, "POST"),
        ("/fhir/cards", "fhir_cards", fhir.cards, "POST"),
    ):
        app.add_url_rule(path, name, shown(placed(view, room)), methods=[method])


def not_counted(client: str, outcomes: Iterable[str]) -> None:
    """What is tried out here is no feedback of clinicians: it stays out of the metrics."""


def way_past(outgoing: HttpClient) -> Way:
    """The way of every call to FHIR servers, except to this service itself."""

    def way(base: str, token: str, lifetime: float | None) -> tuple[Fetch | None, str]:
        if leads_here(base, request.environ.get("SERVER_PORT", "")):
            return None, "the fhirServer is this service"
        return outgoing.fetch_for(base, token, lifetime)

    return way


def has_content() -> bool:
    """Are the content pages there to link to?"""
    return "content_sheet" in current_app.view_functions
