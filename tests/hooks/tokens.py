"""CDS clients for the tests: their keys, made here, the tokens that they sign, and the clients.toml that knows them."""

from __future__ import annotations

import base64
import io
import json
import uuid
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from werkzeug.test import Client, TestResponse

from cds_service.app import create_app
from cds_service.auth.keys import ALGORITHMS, chosen, read_keys
from cds_service.auth.tokens import Issuer, NotTrusted, check_claims, check_header, check_signature, read_token
from cds_service.settings import Settings
from cds_service.web.health import END
from tests.hooks.calling import PATH
from tests.hooks.living import TODAY

ISS = "https://ehr.example.org/fhir"
PUBLIC = "https://cds.example.org/b12"
NOW = TODAY.timestamp()
KINDS = {"ES384": "P-384", "ES256": "P-256", "RS384": 2048, "RS256": 2048, "PS384": 2048}
CLIENT = {"iss": ISS, "keys": {"file": "keys.json"}, "public_base_url": PUBLIC}


def key(algorithm: str = "ES384", name: str = "") -> ECKey | RSAKey:
    """A private key for that algorithm; another name, another key."""
    return made(algorithm, name)


@cache
def made(algorithm: str, name: str) -> ECKey | RSAKey:
    kind = ECKey if algorithm.startswith("ES") else RSAKey
    return kind.generate_key(KINDS[algorithm], {"kid": name or f"kid-{algorithm}", "use": "sig"})


def jwks(*keys: ECKey | RSAKey, **changed: Any) -> dict[str, Any]:
    """The public key set of these keys."""
    return {"keys": [{**each.as_dict(private=False), **changed} for each in keys or [key()]]}


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of a good token; one given as ... is left out."""
    told = {"iss": ISS, "aud": PUBLIC + PATH, "exp": NOW + 300, "iat": NOW, "jti": str(uuid.uuid4())}
    return {name: value for name, value in {**told, **changed}.items() if value is not ...}


def signed(
    told: dict[str, Any] | bytes | None = None,
    by: ECKey | RSAKey | None = None,
    algorithm: str = "ES384",
    **header: Any,
) -> str:
    """A token, signed. The header says what a client says, with what is changed."""
    by = by or key(algorithm)
    fields = {"alg": algorithm, "typ": "JWT", "kid": by.kid, **header}
    payload = told if isinstance(told, bytes) else json.dumps(claims() if told is None else told)
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = 8_000
    return jws.serialize_compact(
        {name: value for name, value in fields.items() if value is not ...}, payload, by, registry=registry
    )


EVERY = Issuer(ISS, PUBLIC, algorithms=tuple(ALGORITHMS))


def believed(token: str, issuer: Issuer = EVERY, keys: Any = None, now: float = NOW, path: str = PATH) -> str:
    """Why the token is not believed, or ""."""
    known, _ = read_keys(json.dumps(keys or jwks(*map(key, ALGORITHMS))).encode())
    try:
        read = read_token(token)
        check_claims(read, issuer, path, now)
        check_header(read, issuer)
        check_signature(read, chosen(known, read.kid, read.algorithm))
    except NotTrusted as error:
        return error.why
    return ""


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def toml(value: Any) -> str:
    """A value as TOML writes it, in line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return json.dumps(value)


def write(folder: Path, *top: str, **clients: dict[str, Any]) -> Path:
    """A clients.toml with these clients (only "main" without any), keys beside it; `top` are lines of its own."""
    (folder / "keys.json").write_text(json.dumps(jwks(*map(key, KINDS))))
    lines = list(top)
    for name, changed in (clients or {"main": {}}).items():
        fields = {field: value for field, value in {**CLIENT, **changed}.items() if value is not ...}
        lines += [f"[client.{name}]", *(f"{json.dumps(field)} = {toml(value)}" for field, value in fields.items())]
    path = folder / "clients.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


class Heard(io.TextIOWrapper):
    """A standard error stream that can be read afterwards: the log is written to its buffer."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), write_through=True)

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["event"] == name]


class Gated:
    """The service with clients, in this process; `now` is what its clock says, `heard` its log."""

    def __init__(self, folder: Path, *top: str, settings: dict[str, Any] | None = None, **clients: dict[str, Any]):
        self.now, self.heard = TODAY, Heard()
        path = write(folder, *top, **clients)
        with redirect_stderr(self.heard):
            chosen = Settings(clients=path, **{"store_url": "none", **(settings or {})})
            self.app = create_app(chosen, clock=lambda: self.now)

    def close(self) -> None:
        """End it, where it has a store."""
        self.app.extensions[END]()

    def open(self, method: str, path: str, token: str | None = None, **given: Any) -> TestResponse:
        headers = {**given.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return Client(self.app).open(path, method=method, headers=headers, **given)

    def post(self, request: Any, token: str | None, path: str = PATH, **given: Any) -> TestResponse:
        data = json.dumps(request).encode()
        return self.open("POST", path, token, data=data, content_type="application/json", **given)
