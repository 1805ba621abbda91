"""The wording of cards and of our own texts as HTML: Markdown without HTML of its own, and placeholders marked."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

# In a card's wording no heading, image or HTML is allowed; js-default lets none through, and checks link addresses.
MARKDOWN = MarkdownIt("js-default", {"linkify": False, "typographer": False}).disable("image")
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")


def as_html(text: str) -> Markup:
    """Markdown as HTML, with every {placeholder} marked as one."""
    return marked(MARKDOWN.render(text))


def as_one_line(text: str) -> Markup:
    """A line without Markdown, with every {placeholder} marked."""
    return marked(str(escape(text)))


def marked(html: str) -> Markup:
    return Markup(PLACEHOLDER.sub(r'<span class="placeholder">{\1}</span>', html))  # noqa: S704  escaped above
