"""Calls the service as a CDS client does: with a JSON Web Token, signed with a key of its own.

    python deploy/signed_call.py new-key client.key.json > client.jwks.json   (for clients.toml)
    python deploy/signed_call.py discovery --key client.key.json --iss https://ehr.example --base https://cds.example
    python deploy/signed_call.py call b12-patient-view request.json --key ... --iss ... --base ...
    python deploy/signed_call.py feedback b12-patient-view feedback.json --key ... --iss ... --base ...

It prints the answer's body, and its status on the standard error stream; the exit code is 0 for 2xx and else 1. It runs
with what the service itself has installed. The token is never printed.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
import requests
from joserfc import jwt
from joserfc.jwk import ECKey

SECONDS = 300  # a token's life
WAIT = 30  # seconds for an answer


@dataclass(frozen=True)
class Client:
    """Who calls, and where. `base` is the service's public address, which is signed; `at` is where it is reached."""

    key: ECKey
    iss: str
    base: str
    at: str
    tenant: str | None
    ca: str | bool

    def token(self, path: str, now: int) -> str:
        """A token for one call of that path."""
        claims: dict[str, Any] = {"iss": self.iss, "aud": self.base + path, "iat": now, "exp": now + SECONDS}
        claims |= {"jti": str(uuid.uuid4())} | ({"tenant": self.tenant} if self.tenant else {})
        header = {"alg": "ES384", "typ": "JWT", "kid": self.key.kid}
        return jwt.encode(header, claims, self.key, algorithms=["ES384"])

    def send(self, path: str, body: bytes | None = None) -> None:
        """Call, print the answer, end with the exit code."""
        headers = {"Authorization": f"Bearer {self.token(path, int(time.time()))}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = requests.request(
                "GET" if body is None else "POST",
                self.at + path,
                data=body,
                headers=headers,
                timeout=WAIT,
                verify=self.ca,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise click.ClickException(f"no answer from {self.at}: {type(error).__name__}") from None
        click.echo(f"{answer.status_code} {answer.reason}", err=True)
        click.echo(indented(answer.content))
        sys.exit(0 if answer.ok else 1)


def indented(body: bytes) -> str:
    """JSON for a reader's eye; anything else as it came."""
    try:
        return msgspec.json.format(body, indent=2).decode()
    except msgspec.DecodeError:
        return body.decode(errors="replace")


def client_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say who calls."""
    options = (
        click.option("--key", required=True, type=click.Path(path_type=Path), help="The file that new-key wrote."),
        click.option("--iss", required=True, help="As clients.toml has it."),
        click.option("--base", required=True, help="The service's public_base_url, as clients.toml has it."),
        click.option("--at", help="Where to connect, if the public address does not lead there from here."),
        click.option("--tenant", help="A tenant of the client."),
        click.option("--ca", help="Certificates (PEM) of the authority that signed the proxy's own."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def client(key: Path, iss: str, base: str, at: str | None, tenant: str | None, ca: str | None) -> Client:
    try:
        read = ECKey.import_key(msgspec.json.decode(key.read_bytes()))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{key.name}: no key that can be read ({type(error).__name__})") from None
    return Client(read, iss, base.rstrip("/"), (at or base).rstrip("/"), tenant, ca or True)


@click.group()
def main() -> None:
    """Signed calls of a CDS Hooks service."""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def new_key(file: Path) -> None:
    """Write a new private key to FILE, which must not exist, and print its public key set."""
    key = ECKey.generate_key("P-384", {"kid": str(uuid.uuid4()), "use": "sig", "alg": "ES384"})
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"{file.name}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as written:
        written.write(msgspec.json.encode(key.as_dict(private=True)))
    show_keys(key)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def jwks(file: Path) -> None:
    """Print the public key set of the private key in FILE."""
    show_keys(ECKey.import_key(msgspec.json.decode(file.read_bytes())))


def show_keys(key: ECKey) -> None:
    click.echo(indented(msgspec.json.encode({"keys": [key.as_dict(private=False)]})))


@main.command()
@client_options
def discovery(**who: Any) -> None:
    """Ask which services there are."""
    client(**who).send("/cds-services")


@main.command()
@click.argument("service")
@click.argument("request", type=click.File("rb"))
@client_options
def call(service: str, request: Any, **who: Any) -> None:
    """Call a service with the request in a file."""
    client(**who).send(f"/cds-services/{service}", request.read())


@main.command()
@click.argument("service")
@click.argument("given", metavar="FEEDBACK", type=click.File("rb"))
@client_options
def feedback(service: str, given: Any, **who: Any) -> None:
    """Send the feedback in a file."""
    client(**who).send(f"/cds-services/{service}/feedback", given.read())


if __name__ == "__main__":
    main()
