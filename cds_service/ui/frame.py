"""What every page shares: files that never change, headers that let nothing foreign in, navigation, faults, wording.

Pages load nothing from elsewhere and hold no script or style of their own, so that the Content-Security-Policy can
forbid all of it. `same-origin` is the strictest Referrer-Policy under which a browser still says where a form was sent
from: with `no-referrer` it sends `Origin: null`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, g, make_response, render_template, request, url_for
from jinja2 import FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from cds_service.approval import STYLE as SHEET
from cds_service.clinical.case import written as dated
from cds_service.clinical.record import Problem
from cds_service.clinical.tables import DateWords
from cds_service.content.print import STYLE
from cds_service.web.calls import CallLimit
from cds_service.web.messages import Refused

# In a card's wording no heading, image or HTML is allowed; js-default lets none through, and checks link addresses.
MARKDOWN = MarkdownIt("js-default", {"linkify": False, "typographer": False}).disable("image")
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")


ENGLISH = DateWords(tuple("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()), undated="undated")


def written(day: date | None) -> str:
    """A day on a page, whose language is English whatever that of the cards."""
    return dated(day, ENGLISH)


def days_of_problem(problem: Problem) -> str:
    """When it began and when it was recorded, in words, where both are known and differ: a card names the later."""
    onset, recorded = problem.onset, problem.recorded
    if onset and recorded and onset != recorded:
        return f"{written(onset)}, recorded {written(recorded)}"
    return written(onset or recorded)


def as_html(text: str) -> Markup:
    """Markdown as HTML, with every {placeholder} marked as one."""
    return marked(MARKDOWN.render(text))


def as_one_line(text: str) -> Markup:
    """A line without Markdown, with every {placeholder} marked."""
    return marked(str(escape(text)))


def marked(html: str) -> Markup:
    return Markup(PLACEHOLDER.sub(r'<span class="placeholder">{\1}</span>', html))  # noqa: S704  escaped above


MOST_FIELDS = 2_000  # of one form
LARGEST_FORM = 5_000_000  # bytes: a person pastes no more
HERE = Path(__file__).parent
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
HTML = "text/html"
UNFRAMED = "frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    f"connect-src 'self'; form-action 'self'; base-uri 'none'; {UNFRAMED}",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
GRADES = {  # of evidence -> what it means
    "primary": "compared with the publication itself",
    "secondary": "from a digest of the publication; its own words are still to be compared",
    "design": "our own decision, or general knowledge: no publication says so",
}
# What a page is called, and the banner: the first words alone where the screen is narrow.
PAGES = (  # id, endpoint, name
    ("playground", "playground", ("Playground", "")),
    ("examples", "examples", ("Examples", "of patients")),
    ("fhir", "fhir", ("FHIR", "server")),
    ("content", "content_start", ("Content", "for review")),
    ("about", "about_page", ("About", "")),
)
DEMO = ("This is a demo.", "Only this machine is answered, and nobody is authenticated. Do not enter real patients.")
WITH_CLIENTS = (
    "This playground runs beside real clients.",
    "It is switched on by CDS_PLAYGROUND=1, and who may open it is up to your proxy. Do not enter real patients.",
)
FOREIGN = "the form was not sent from this site's own page"


@dataclass(frozen=True, slots=True)
class Static:
    """The files of the folder `static`, read once: only these names exist."""

    files: Mapping[str, tuple[bytes, str]]

    def send(self, filename: str) -> BaseResponse:
        """GET /static/{name}"""
        if filename not in self.files:
            raise Refused(404, "there is no such file")
        body, kind = self.files[filename]
        answer = Response(body, content_type=kind, headers={"Cache-Control": "no-cache"} | HEADERS)
        answer.add_etag()
        return answer.make_conditional(request)


def add_frame(app: Flask, demo: bool, playground: bool) -> None:
    """The frame of all pages, before them; a second time it changes nothing."""
    if "static" in app.view_functions:
        return
    app.jinja_loader = FileSystemLoader(HERE / "templates")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    files = {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in (HERE / "static").iterdir()}
    files["print.css"] = (STYLE.encode(), TYPES[".css"])
    files["sheet.css"] = (SHEET.encode(), TYPES[".css"])
    app.add_url_rule("/static/<filename>", "static", Static(files).send, methods=["GET"])
    app.jinja_env.globals["navigation"] = navigation
    app.jinja_env.globals["has_page"] = has_page
    app.jinja_env.globals["banner"] = (DEMO if demo else WITH_CLIENTS) if playground else ""
    app.after_request(harden)


def navigation() -> list[tuple[str, str, tuple[str, str]]]:
    """The pages that this service has."""
    return [each for each in PAGES if each[1] in current_app.view_functions]


def has_page(endpoint: str) -> bool:
    """Does this service have the page, to be linked to?"""
    return endpoint in current_app.view_functions


def linked_head(style: str) -> str:
    """The links of a page for paper that is not made from our templates: its style as a file, and the icon."""
    links = (("stylesheet", style), ("icon", "icon.svg"))
    return "".join(f'<link rel="{kind}" href="{url_for("static", filename=name)}">' for kind, name in links)


def say_no_referrer() -> None:
    """Let the page that is answered now be named to nobody, this host included: its address holds a secret."""
    g.setdefault("page_headers", {"Referrer-Policy": "no-referrer"})


def allow_frames(origins: Sequence[str]) -> None:
    """Let pages of these origins show the page that is answered now in a frame; nobody else may."""
    g.frame_ancestors = tuple(origins)


def harden(response: Response) -> Response:
    """Set the headers of every page: nothing that a page shows is cached."""
    if response.mimetype == HTML:
        response.headers.update({**HEADERS, **g.get("page_headers", {})})
        response.headers["Cache-Control"] = "no-store"
        if origins := g.get("frame_ancestors", ()):
            policy = HEADERS["Content-Security-Policy"].replace(UNFRAMED, f"frame-ancestors {' '.join(origins)}")
            response.headers["Content-Security-Policy"] = policy
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # a page that embeds only what says so
            del response.headers["X-Frame-Options"]  # it can name no origin
    return response


def limited(view: Callable[..., Any], limit: CallLimit) -> Callable[..., Any]:
    """A view that answers calls: it counts toward the concurrency limit as the calls of clients do."""

    def in_turn(**given: Any) -> Any:
        with limit.admit(request.environ):
            return view(**given)

    return in_turn


def shown(view: Callable[..., Any]) -> Callable[..., Any]:
    """A view whose refusals are pages too, for they are read by a person."""

    def as_page(**given: Any) -> Any:
        try:
            return view(**given)
        except Refused as error:
            return fault(error.status, (*error.texts, *(each.text for each in error.faults)))
        except HTTPException as error:
            return fault(error.code or 500, [error.name])

    return as_page


def fault(status: int, texts: Any) -> Response:
    """An error as a page."""
    return make_response(render_template("fault.html", status=status, texts=list(texts)), status)


def refuse_foreign() -> None:
    """A form counts only if it was sent from a page of ours: Refused for one from elsewhere, or from nowhere.

    Every browser says so with a form, by Sec-Fetch-Site or by Origin.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if origin is not None and origin != request.host_url.rstrip("/"):
        raise Refused(403, FOREIGN)
    if site != "same-origin" and (site is not None or origin is None):
        raise Refused(403, FOREIGN)


def sent_form() -> Mapping[str, str]:
    """The form that was sent: from our own page, and no larger than a person fills one."""
    refuse_foreign()
    request.max_content_length = request.max_form_memory_size = LARGEST_FORM
    request.max_form_parts = MOST_FIELDS
    return request.form
