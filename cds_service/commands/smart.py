"""`b12-cds smart key`: a key pair for an authorization server: the private half into a file, the public one printed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .store import Unusable

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, RSAKey

ALGORITHMS = ("ES384", "RS384")
RSA_BITS = 3072


@click.group()
def smart() -> None:
    """The keys with which we sign in at a record system's authorization server: as a SMART app, and as the watcher."""


@smart.command("key")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE",
              help="Where the private key goes; a file that is there is never replaced.")  # fmt: skip
@click.option("--kid", metavar="NAME", help="The name of the key (default: its thumbprint, RFC 7638).")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0], show_default=True,
              help="What the authorization server takes.")  # fmt: skip
def key(out: Path, kid: str | None, algorithm: str) -> None:
    """Make a key pair. The private key is written to FILE, which nobody else may read; printed is the public key set,
    to be registered in the record system."""
    made = new_pair(kid, algorithm)
    write_private(out, json.dumps(made.as_dict(private=True)) + "\n")
    click.echo(json.dumps({"keys": [made.as_dict(private=False)]}, indent=2))


def new_pair(kid: str | None, algorithm: str) -> ECKey | RSAKey:
    """A new private key for that algorithm."""
    from joserfc.jwk import ECKey, RSAKey

    said: Any = {"alg": algorithm, "use": "sig", **({"kid": kid} if kid else {})}
    if algorithm == "ES384":
        return ECKey.generate_key("P-384", said, auto_kid=True)
    return RSAKey.generate_key(RSA_BITS, said, auto_kid=True)


def write_private(path: Path, text: str) -> None:
    """Into a new file that only its owner can read, from its first moment on."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Unusable(f"smart key: --out: {path} is there already; name another file, or take it away") from None
    except OSError as error:
        raise Unusable(f"smart key: --out: {path} cannot be written: {error.strerror}") from None
