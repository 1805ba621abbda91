"""The proxy: TLS, one request at a time and whole, nothing of the inside, and no second try."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from cds_service.settings import Settings
from tests.deploy.manifests import ROOT, compose
from tests.deploy.proxy import CONF, certificate, configured, proxied, tried
from tests.endings import SOON, all_ended
from tests.hooks.processes import free_port, until

pytestmark = pytest.mark.needs("nginx")
Seen = list[tuple[str, str, dict[str, str], int]]


class Recorder(BaseHTTPRequestHandler):
    """A service that notes what it is sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.begun.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), len(body)))
        if self.server.hangs_up:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(
    folder: Path, hangs_up: bool = False
) -> Iterator[tuple[Callable[..., requests.Response], Seen, int, list[str]]]:
    """The proxy before a recording service: a call over TLS, what the service saw, the proxy's port, and what the
    service began to see."""
    behind, port = ThreadingHTTPServer(("127.0.0.1", 0), Recorder), free_port()
    behind.seen, behind.begun, behind.hangs_up = [], [], hangs_up
    accepting = threading.Thread(target=behind.serve_forever, daemon=True)
    accepting.start()
    trusted = certificate(folder)
    try:
        path = configured(folder, port, behind.server_port)
        server = f"server 127.0.0.1:{behind.server_port};"
        path.write_text(path.read_text().replace(server, server * 2))  # two, so that there is another one to try
        with proxied(path) as process:
            until(lambda: reachable(port), process)

            def call(method: str, path: str, **given: object) -> requests.Response:
                address = f"https://127.0.0.1:{port}{path}"
                return requests.request(method, address, verify=str(trusted), timeout=SOON, **given)

            yield call, behind.seen, port, behind.begun
    finally:
        behind.shutdown()
        behind.server_close()
        all_ended([accepting])


def reachable(port: int) -> bool:
    with socket.socket() as tried_one:
        return tried_one.connect_ex(("127.0.0.1", port)) == 0


def test_nginx_accepts_the_configuration_and_would_refuse_a_misspelt_one(tmp_path: Path):
    certificate(tmp_path)
    path = configured(tmp_path, free_port(), 8000)
    assert tried(path).returncode == 0, tried(path).stderr
    path.write_text(path.read_text().replace("proxy_request_buffering", "proxy_request_bufering"))
    assert tried(path).returncode != 0


def test_a_call_passes_with_its_token_and_the_inside_stays_inside(tmp_path: Path):
    with served(tmp_path) as (call, seen, *_):
        token = {"Authorization": "Bearer a.b.c"}
        assert call("POST", "/cds-services/b12-patient-view", data=b"{}", headers=token).status_code == 200
        assert call("GET", "/healthz").status_code == 200
        for path in ("/readyz", "/metrics", "/", "/playground", "/openapi.json", "/cds-services/../readyz"):
            assert call("GET", path).status_code == 404, path
    assert [(method, path) for method, path, _, _ in seen] == [
        ("POST", "/cds-services/b12-patient-view"), ("GET", "/healthz"),
    ]  # fmt: skip
    assert seen[0][2]["Authorization"] == "Bearer a.b.c"
    log = (tmp_path / "calls.log").read_text() + (tmp_path / "errors.log").read_text()
    assert "a.b.c" not in log
    assert "127.0.0.1" not in (tmp_path / "calls.log").read_text()


def test_a_body_above_the_limit_of_the_service_is_refused_before_it_is_passed_on(tmp_path: Path):
    largest = Settings().max_body_mb * 1024 * 1024
    with served(tmp_path) as (call, seen, *_):
        assert call("POST", "/cds-services/x", data=b" " * (largest + 1)).status_code == 413
        assert call("POST", "/cds-services/x", data=b" " * largest).status_code == 200
    assert [length for *_, length in seen] == [largest]


def test_a_slow_sender_costs_the_service_nothing_until_its_body_is_whole(tmp_path: Path):
    with served(tmp_path) as (_, _, port, begun):
        plain = socket.create_connection(("127.0.0.1", port), SOON)
        trusted = ssl.create_default_context(cafile=tmp_path / "tls_certificate")
        with trusted.wrap_socket(plain, server_hostname="localhost") as slow:
            slow.sendall(b"POST /cds-services/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{")
            slow.settimeout(0.5)
            with pytest.raises(TimeoutError):
                slow.recv(1)
            assert begun == []
            slow.settimeout(20)
            slow.sendall(b"}")
            assert slow.recv(12) == b"HTTP/1.1 200"
    assert len(begun) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_call_that_fails_is_not_tried_twice(tmp_path: Path, method: str):
    with served(tmp_path, hangs_up=True) as (call, seen, *_):
        assert call(method, "/cds-services").status_code == 502
    assert len(seen) == 1


def test_older_tls_is_refused(tmp_path: Path):
    with served(tmp_path) as (_, _, port, _):
        for version, good in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
            context = ssl.create_default_context(cafile=tmp_path / "tls_certificate")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Python, too, advises against 1.1
                context.minimum_version = context.maximum_version = version
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            with socket.create_connection(("127.0.0.1", port), SOON) as plain:
                assert shakes_hands(context, plain) is good


def shakes_hands(context: ssl.SSLContext, plain: socket.socket) -> bool:
    try:
        with context.wrap_socket(plain, server_hostname="localhost"):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


def test_its_port_and_its_files_are_those_of_the_compose_file():
    text, proxy = CONF.read_text(), compose()["services"]["proxy"]
    assert proxy["ports"][0].endswith(":" + re.search(r"listen (\d+) ssl", text)[1])
    named = set(re.findall(r"/run/secrets/(\w+)", text))
    assert named == set(proxy["secrets"])
    assert "nginx" in (ROOT / ".ci" / "run").read_text()
