"""The file given to `b12-cds explain`, read: a hook request, a FHIR Bundle about one patient, or a vignette."""

from __future__ import annotations

import json
from pathlib import Path

from ..cdshooks.faults import BadRequest
from ..cdshooks.requests import named_hook, read_request
from ..content.content import Content
from ..content.faults import ContentError
from ..examples.vignettes import VignetteError, overlay_folder, read_vignette
from ..explanation import Saved, saved_vignette
from ..ui.request_json import request_of
from ..web.messages import Refused


class CannotExplain(Exception):
    """The file is no request that can be explained. Its text is one line."""


def overlay_of(path: Path) -> Path | None:
    """The folder of the example site that a vignette names, which then lies over the content; else None."""
    if path.suffix != ".toml":
        return None
    try:
        return overlay_folder(read_vignette(path))
    except OSError as error:
        raise CannotExplain(f"{path}: {error.strerror}") from None
    except (ContentError, ValueError, KeyError) as error:
        raise CannotExplain(placed(path, error)) from None


def placed(path: Path, error: Exception) -> str:
    """What is wrong, in one line, with the file in which it is: a vignette's own faults begin with its name."""
    text = " ".join(str(error).split()).removeprefix(f"{path.name} ")
    return f"{path}: {text}"


def read_saved(path: Path, content: Content) -> Saved:
    """A hook request or a FHIR Bundle about one patient as JSON, or a vignette's TOML."""
    try:
        if path.suffix == ".toml":
            return saved_vignette(read_vignette(path), content)
        body = path.read_bytes()
        fault = json_fault(body)
        if fault:
            raise CannotExplain(f"{path}: {fault}")
        if is_bundle(body):
            body = request_of(body, content.prefetch["full"])
        return Saved(read_request(body, named_hook(body)))
    except OSError as error:
        raise CannotExplain(f"{path}: {error.strerror}") from None
    except Refused as error:
        raise CannotExplain(f"{path}: {'; '.join(error.texts)}") from None
    except BadRequest as error:
        raise CannotExplain(f"{path}: {'; '.join(fault.text for fault in error.faults)}") from None
    except (VignetteError, ValueError, KeyError) as error:  # TOML that is no TOML, or names what we do not know
        raise CannotExplain(placed(path, error)) from None


def json_fault(body: bytes) -> str:
    """What is wrong with a text that should be JSON, with line and column; "" for JSON."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return f"not JSON: byte {error.start + 1} is not UTF-8"
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError):
        return ""  # a number or a depth that the reader of requests judges
    return "" if text == body.decode() else "begins with a byte order mark; save it as UTF-8 without one"


def is_bundle(body: bytes) -> bool:
    """Is it a FHIR Bundle instead of a hook request?"""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("resourceType") == "Bundle" and "hook" not in found
