"""No path leads out of the base that was checked, as Tomcat and Jetty read paths: both are started and asked (item 69).

Two tenants lie side by side on each server. Every form below begins under tenant A's base and may lead to tenant B.
Whichever server it leads there: the address check must have refused it, as a base that a client names and as the `next`
link of a page.
"""

from __future__ import annotations

import fcntl
import socket
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from cds_service.http.addresses import AddressRefused, parse_base

pytestmark = pytest.mark.needs("java", "maven")
PROJECT = Path(__file__).parent / "path_servers"
BUILD_SECONDS, START_SECONDS = 300, 60

UP = """
.. ..; ..;x ..;x=1 ;/.. ;x/.. .;./ .;/.. ./.. x/../.. x/..;/.. ;x=/..;y= %2e%2e %2E. .%2e %2e%2e; ..%3b ..%3Bx
%252e%252e ..%253b %c0%ae%c0%ae %e0%80%ae%e0%80%ae %ef%bc%8e%ef%bc%8e %u002e%u002e ... .%00. ..%00 ..%20 %20..
..%09 ..%0d ..%0a ..%5c..
""".split()
BETWEEN = "/ // /./ /;/ /;x/ ;/ ;x/ \\ %2f %2F %5c %5C %252f %255c %c0%af %ef%bc%8f".split()
AFTER = "/ // /;x/ ;x/ \\ %2f".split()
FORMS = sorted({f"/fhir/tenantA{before}{up}{after}tenantB/Patient/1"
                for up, before, after in product(UP, BETWEEN, AFTER)})  # fmt: skip
PLAIN = ["/fhir/tenantA/Patient/1", "/fhir/tenantA//Patient/1", "/fhir/%74enantA/Patient/1", "/fhir/tenantA/$x"]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, int]]:
    """The ports of Tomcat and Jetty, each as it comes and as lenient as it can be set."""
    target = PROJECT / "target"
    target.mkdir(exist_ok=True)
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "classpath.txt").exists() or not list(target.glob("classes/**/*.class")):
            subprocess.run(["mvn", "-B", "-q", "compile"], cwd=PROJECT, check=True, timeout=BUILD_SECONDS)
    classpath = f"{target / 'classes'}:{(target / 'classpath.txt').read_text().strip()}"
    command = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, "paths.PathServers"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as started:
        try:
            ports = {}
            for line in started.stdout:
                if line.strip() == "ready":
                    break
                name, port = line.split()
                ports[name] = int(port)
            yield ports
        finally:
            started.stdin.close()
            try:
                started.wait(60)
            except subprocess.TimeoutExpired:
                started.kill()


class Asking:
    """A connection on which paths are sent exactly as they are, one after the other."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open: socket.socket | None = None

    def tenant(self, path: str) -> str:
        """The tenant that answers; "" for none."""
        for _ in range(2):
            if self.open is None:
                self.open = socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS)
            try:
                self.open.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
                return self._answer()
            except OSError:  # a server that has refused a path may end the connection
                self.close()
        return ""

    def _answer(self) -> str:
        told = b""
        while b"\r\n\r\n" not in told:
            told += self._more()
        head, _, body = told.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
        if b"content-length" in fields:
            while len(body) < int(fields[b"content-length"]):
                body += self._more()
        elif fields.get(b"transfer-encoding", b"").strip() == b"chunked":
            while not body.endswith(b"0\r\n\r\n"):
                body += self._more()
        if fields.get(b"connection", b"").strip() == b"close":
            self.close()
        return fields.get(b"x-tenant", b"").decode().strip()

    def _more(self) -> bytes:
        assert self.open is not None
        if not (found := self.open.recv(65_536)):
            raise ConnectionResetError
        return found

    def close(self) -> None:
        if self.open is not None:
            self.open.close()
            self.open = None


def refused(path: str) -> bool:
    """Is it neither a base under tenant A's, nor a page of it?"""
    base = parse_base("https://ehr.example.org/fhir/tenantA")
    as_page = as_base = False
    try:
        base.address_of(f"https://ehr.example.org{path}")
    except AddressRefused:
        as_page = True
    try:
        as_base = not base.holds(parse_base(f"https://ehr.example.org{path}"))
    except AddressRefused:
        as_base = True
    return as_page and as_base


def test_what_leads_to_another_tenant_on_any_server_is_refused(servers):
    found: dict[str, list[str]] = {}
    for name, port in servers.items():
        asking = Asking(port)
        found[name] = [path for path in FORMS if asking.tenant(path) == "tenantb"]
        asking.close()
    assert found["tomcat"], "a Tomcat as it comes reads `..;` as the part above"
    assert found["tomcat-lenient"]
    assert found["jetty-lenient"]
    print({name: len(paths) for name, paths in found.items()}, "of", len(FORMS))
    assert [path for paths in found.values() for path in paths if not refused(path)] == []


def test_what_stays_under_the_base_is_read_as_before(servers):
    base = parse_base("https://ehr.example.org/fhir/tenantA")
    for path in PLAIN:
        assert base.address_of(f"https://ehr.example.org{path}?_count=1").endswith(f"{path}?_count=1")
    asking = Asking(servers["tomcat"])
    assert [asking.tenant(path) for path in PLAIN] == ["tenanta"] * len(PLAIN)
    asking.close()


@pytest.mark.parametrize("path", FORMS[:: len(FORMS) // 40])
def test_the_service_itself_reads_no_such_form(path):
    """Whatever a server makes of it: of these forms none is one that a FHIR server sends."""
    assert refused(path)
