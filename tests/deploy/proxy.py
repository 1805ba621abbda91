"""The proxy of deploy/proxy/nginx.conf on this machine: its own file, with this machine's addresses and certificate."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.deploy.manifests import CALLS, DEPLOY
from tests.hooks.processes import Running

CONF = DEPLOY / "proxy" / "nginx.conf"


def certificate(folder: Path) -> Path:
    """A certificate of its own for this machine, and its key beside it; valid for an hour."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    places = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls_certificate").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls_key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "tls_certificate"


def configured(folder: Path, port: int, service_port: int) -> Path:
    """The configuration with this machine's folders and ports; each of them stands in the original."""
    here = f"{folder}/"
    text = "user root;\n" * (os.geteuid() == 0) + CONF.read_text()  # in its image it is nobody else than 101 throughout
    places = {
        "/tmp/": "WRITTEN/",  # first: what is put in below may lie there
        "/run/secrets/": here,
        "WRITTEN/": here,
        f"server service:{CALLS};": f"server 127.0.0.1:{service_port};",
        "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/dev/stdout": f"{here}calls.log",
        "error_log stderr": f"error_log {here}errors.log",
    }
    for original, new in places.items():
        assert original in text, original
        text = text.replace(original, new)
    target = folder / "nginx.conf"
    target.write_text(text)
    return target


def tried(configuration: Path) -> subprocess.CompletedProcess[str]:
    """nginx's own opinion of a configuration."""
    return subprocess.run([program(), "-t", "-q", "-c", configuration], capture_output=True, text=True, timeout=60)


def program() -> str:
    return shutil.which("nginx") or "/usr/sbin/nginx"


@contextmanager
def proxied(configuration: Path) -> Iterator[Running]:
    process = Running([program(), "-c", str(configuration)], configuration.parent / "nginx.output")
    try:
        yield process
        process.terminate()
        process.wait(60)
    finally:
        process.end()
