"""Our own JSON Schemas (2020-12) of the messages (discovery, request, response, feedback) and of clients.toml."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec


def load_schema(name: str) -> dict[str, Any]:
    """The schema of that name."""
    return msgspec.json.decode(files(__package__).joinpath(f"{name}.json").read_bytes())
