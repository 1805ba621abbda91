"""The addresses of the pages. They exist in demo mode, or where the operator has switched them on (CDS_PLAYGROUND)."""

from __future__ import annotations

from flask import Flask

from .frame import add_frame


def add_pages(app: Flask, demo: bool) -> None:
    """The frame and the pages of the playground."""
    add_frame(app, demo, playground=True)
