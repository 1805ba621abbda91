"""JSON Schemas (2020-12): of what leaves us, as files; of what comes in, made from the types that read it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def load_schema(name: str) -> Schema:
    """The schema of a message that leaves us: discovery, response, operation-outcome or readiness."""
    found: Schema = msgspec.json.decode(files(__package__).joinpath(f"{name}.json").read_bytes(), type=dict[str, Any])
    return found


def schema_of(kind: Any) -> Schema:
    """The schema of one of our types, whole in itself."""
    return {"$schema": DIALECT, **msgspec.json.schema(kind)}


def components_of(kinds: list[Any], template: str) -> tuple[list[Schema], Schema]:
    """The schemas of types as components of a document: a reference for each, and what they refer to by name."""
    references, components = msgspec.json.schema_components(kinds, ref_template=template)
    return list(references), components
