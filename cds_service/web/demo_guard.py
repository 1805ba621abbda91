"""Demo mode is closed: it answers this machine only, whatever headers say, and browsers only from allowed pages.

The peer's address is the connection's own. Forwarded headers are never looked at.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit


def refusal(environ: Mapping[str, Any], origins: Collection[str]) -> str:
    """Why a request may not be answered in demo mode, or ""."""
    if not is_loopback(environ.get("REMOTE_ADDR") or ""):
        return "demo mode answers this machine only: the caller's address is not a loopback address"
    if not is_loopback(host_name(environ.get("HTTP_HOST") or "")):
        return "demo mode answers this machine only: Host is not a loopback name"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and not allowed_origin(origin, origins, demo=True):
        return "demo mode answers pages of this machine and of CDS_ORIGINS only: Origin is neither"
    return ""


def allowed_origin(origin: str, origins: Collection[str], demo: bool) -> bool:
    """May a page of this origin read our answers? Those of CDS_ORIGINS; in demo mode loopback ones on any port too."""
    if origin.lower() in origins:
        return True
    scheme, _, authority = origin.partition("://")
    return demo and scheme in ("http", "https") and is_loopback(host_name(authority))


def host_name(authority: str) -> str:
    """The host of "host:port", an IPv6 address without its brackets; "" for anything that is more or less than that."""
    try:
        parts = urlsplit(f"//{authority}")
        plain = parts.netloc == authority and not (parts.path or parts.query or parts.fragment or "@" in authority)
        return (parts.hostname or "") if plain and parts.port != 0 else ""
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    """Is it localhost, or literally a loopback address? No name is looked up."""
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
