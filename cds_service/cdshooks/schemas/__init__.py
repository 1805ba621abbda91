"""JSON Schemas (2020-12): of what leaves us, as files; of what comes in, made from the types that read it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
OUTGOING = ("discovery", "response", "operation-outcome", "readiness")
LONGEST = 200  # characters of what jsonschema says of one fault


def load_schema(name: str) -> Schema:
    """The schema of a message that leaves us (`OUTGOING`)."""
    found: Schema = msgspec.json.decode(files(__package__).joinpath(f"{name}.json").read_bytes(), type=dict[str, Any])
    return found


def schema_faults(name: str, message: Any) -> list[str]:
    """In what a message that leaves us breaks its published schema, each with its place; empty if in nothing."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # no types; not needed in a worker

    errors = Draft202012Validator(load_schema(name)).iter_errors(message)
    return [f"{'.'.join(map(str, error.absolute_path)) or 'the whole'}: {error.message[:LONGEST]}" for error in errors]


def schema_of(kind: Any) -> Schema:
    """The schema of one of our types, whole in itself."""
    return {"$schema": DIALECT, **msgspec.json.schema(kind)}


def components_of(kinds: list[Any], template: str) -> tuple[list[Schema], Schema]:
    """The schemas of types as components of a document: a reference for each, and what they refer to by name."""
    references, components = msgspec.json.schema_components(kinds, ref_template=template)
    return list(references), components
