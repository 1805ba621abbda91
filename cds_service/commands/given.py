"""What a person gives a command to work with: addresses, and files with a token or a list. Read within bounds.

A fault names the option or the file; what a file holds is never part of a message.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..http.addresses import AddressRefused, Base, parse_base

TOKEN = "CDS_FHIR_TOKEN"  # noqa: S105 (the name of a variable, not a token)
LONGEST_TOKEN = 20_000  # characters


class BadOption(Exception):
    """An option cannot be used. Its text is one line that says why, and what is allowed."""


def base_of_option(option: str, text: str, example: str) -> Base:
    """The base URL after an option: https, or http on this machine."""
    try:
        base = parse_base(text.strip())
    except AddressRefused as refused:
        raise BadOption(f"{option}: {refused}; give {example}") from None
    if base.scheme != "https" and not base.loopback_name:
        raise BadOption(f"{option}: an address without encryption (http) is called on this machine only; use https")
    return base


def fhir_base(text: str) -> Base:
    """The FHIR base after --fhir."""
    return base_of_option("--fhir", text, "a FHIR base URL such as https://ehr.example.org/fhir")


def read_token(file: Path | None) -> str:
    """The token from the file, else from the environment; "" for none."""
    text = os.environ.get(TOKEN, "") if file is None else read_file(file, LONGEST_TOKEN)
    token = text.strip()
    if file is not None and not token:
        raise BadOption("the token file is empty")
    return token


def read_file(file: Path, most: int) -> str:
    """The beginning of a text file, at most so many characters."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            return stream.read(most)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise BadOption(f"{file}: cannot be read: {why}") from None
