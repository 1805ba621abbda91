"""CORS: which pages may read an answer (checklist item 130). Errors carry the headers too, or no page sees them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .demo_guard import allowed_origin

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Max-Age": "600",
}
EXPOSED = "Retry-After, Server-Timing"  # what a page may read of an answer's headers, beyond what every page may


def cors_headers(environ: dict[str, Any], origins: Collection[str], demo: bool) -> dict[str, str]:
    """The CORS headers of the answer to this request; a preflight needs no token and gets what it asks about."""
    headers = {"Vary": "Origin"}
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or not allowed_origin(origin, origins, demo):
        return headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = EXPOSED
    if environ["REQUEST_METHOD"] == "OPTIONS":
        headers |= PREFLIGHT
        if "HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK" in environ:  # a public page calls a service on this machine
            headers["Access-Control-Allow-Private-Network"] = "true"
    return headers
