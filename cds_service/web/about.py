"""GET /about as JSON: what this service is, for a machine. Where there are pages, a browser gets one instead.

Asked without a token and answered without a secret: all of it is content, and nothing of it concerns a patient. Clients
with a site's folder of their own have another content: each is named by its digest, and asked for with ?content=DIGEST.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from flask import Flask, Response, request

from ..about import About, about
from ..content.content import Content
from .messages import JSON, Refused


class AboutAnswers:
    """What is said of each content, made when it is first asked for: nothing of it changes while the service runs."""

    def __init__(self, contents: Iterable[Content]) -> None:
        self._running = {content.digest: content for content in contents}
        self._known: dict[str, About] = {}

    def about(self, content: Content) -> About:
        """What this service is, with that content."""
        known = self._known.get(content.digest)
        if known is None:
            others = tuple(digest for digest in self._running if digest != content.digest)
            known = self._known[content.digest] = about(content, others=others)
        return known

    def answer(self, content: Content) -> Response:
        """The same as JSON, of this content or of the one that the address names."""
        digest = request.args.get("content", content.digest)
        chosen = content if digest == content.digest else self._running.get(digest)
        if chosen is None:
            raise Refused(404, f"no such content runs here; digests of what runs: {', '.join(self._running)}")
        return Response(msgspec.json.encode(self.about(chosen)), content_type=JSON)


def add_about(app: Flask, content: Content, contents: Iterable[Content]) -> None:
    """The address, of a service without pages. `contents`: those of clients with a folder of their own."""
    answers = AboutAnswers([content, *contents])
    app.add_url_rule("/about", "about", lambda: answers.answer(content), methods=["GET"])
