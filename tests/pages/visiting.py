"""How the tests visit the pages: a demo in this process, and its forms filled as a browser without JavaScript does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from werkzeug.test import Client, TestResponse

from cds_service.app import create_app
from cds_service.settings import Settings

HOST = "127.0.0.1:8000"
HERE = f"http://{HOST}"
ENVIRON = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": HOST, "SERVER_PORT": "8000"}
AT_180 = "/?patient=uk-ng239/02-edge-180-is-grey"
HOSTILE = '"><script>alert(1)</script>{{7*7}}'
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def demo(**settings: Any) -> Flask:
    """The service in demo mode, always on the same day."""
    return create_app(Settings(demo=True, **settings), clock=lambda: NOW)


@dataclass
class Seen(HTMLParser):
    """The fields of one form, as a browser would send them, and the texts of some elements."""

    form: str  # id or class
    fields: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._inside, self._select, self._text = False, "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = self.form in (told.get("id"), told.get("class"))
        if not self._inside:
            return
        if tag == "input" and told.get("type") != "checkbox":
            self.fields[told["name"]] = told.get("value", "")
        elif tag == "select":
            self._select = told["name"]
        elif tag == "option" and self._select and (self._select not in self.fields or "selected" in told):
            self.fields[self._select] = told.get("value", "")
        elif tag == "textarea":
            self._text = told["name"]
            self.fields[self._text] = ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"
        self._select = "" if tag == "select" else self._select
        self._text = "" if tag == "textarea" else self._text

    def handle_data(self, data: str) -> None:
        if self._inside and self._text:
            self.fields[self._text] += data


class Visitor:
    """A person with a browser on this machine."""

    def __init__(self, app: Flask) -> None:
        self.client = Client(app)

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, environ_overrides=ENVIRON)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> TestResponse:
        """A form sent from our own page, unless the headers say otherwise."""
        sent = headers if headers else {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}
        named = {name.replace("_", "-"): value for name, value in sent.items() if value}
        return self.client.post(
            path, data=fields, headers=named, environ_overrides=ENVIRON, content_type="multipart/form-data"
        )


def fields(page: TestResponse, form: str = "patient") -> dict[str, str]:
    """What the form of that id or class would send."""
    seen = Seen(form)
    seen.feed(page.text)
    assert seen.fields, f"there is no form {form!r} on the page"
    return seen.fields


def summaries(page: TestResponse) -> list[str]:
    """What the cards on the page say first."""
    return re.findall(r'<h3 id="card-[^"]+">(.*?)</h3>', page.text)


def label(page: TestResponse) -> str:
    """The label of the decision that the page shows; "" without one."""
    found = re.search(r"Label: <strong>(.*?)</strong>", page.text)
    return found[1] if found else ""
