"""GET /about as JSON: what this service is, for a machine. Where there are pages, a browser gets one instead.

Asked without a token and answered without a secret: all of it is content, and nothing of it concerns a patient.
"""

from __future__ import annotations

import msgspec
from flask import Flask, Response

from ..about import About, about
from ..content.content import Content
from .messages import JSON


class AboutAnswers:
    """What is said of each content, made when it is first asked for: nothing of it changes while the service runs."""

    def __init__(self) -> None:
        self._known: dict[str, About] = {}

    def about(self, content: Content) -> About:
        """What this service is, with that content."""
        known = self._known.get(content.digest)
        if known is None:
            known = self._known[content.digest] = about(content)
        return known

    def answer(self, content: Content) -> Response:
        """The same as JSON."""
        return Response(msgspec.json.encode(self.about(content)), content_type=JSON)


def add_about(app: Flask, content: Content) -> None:
    """The address, of a service without pages."""
    answers = AboutAnswers()
    app.add_url_rule("/about", "about", lambda: answers.answer(content), methods=["GET"])
