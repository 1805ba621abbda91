"""The one HTTP client: to whom it connects, by which name, and whom it does not reach (items 64 to 70)."""

from __future__ import annotations

import socket

from cds_service.http.addresses import Policy, parse_base
from cds_service.http.client import HttpClient
from tests.fhir.going_out import DEMO, PATIENT, TOKEN, allowed, bases, failure, soon
from tests.fhir.loopback import (
    fhir,
)


def test_nobody_listening_is_a_failure(outgoing):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = f"http://127.0.0.1:{taken.getsockname()[1]}/fhir"
    assert "cannot be reached" in failure(allowed(outgoing, base)).reason


def resolving(*addresses: str):
    """A name service that says this, whatever it is asked."""

    def resolve(_host, port, **_named):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


def test_localhost_is_called_only_where_it_is_this_machine(server):
    base = server.base.replace("127.0.0.1", "localhost")
    server.answers["/fhir/Patient/pt-1"] = fhir(PATIENT)
    for addresses, reached in ((("127.0.0.1",), True), (("192.0.2.1", "127.0.0.1"), True), (("192.0.2.1",), False)):
        outgoing = HttpClient(DEMO, resolving(*addresses))
        if reached:
            allowed(outgoing, base)("Patient/pt-1", soon())
        else:
            assert "not allowed" in failure(allowed(outgoing, base)).reason
        outgoing.close()
    assert len(server.requests) == 2


def test_a_listed_name_that_turns_to_a_metadata_service_is_not_connected_to():
    policy = Policy(bases=bases("http://ehr.example.org/fhir"))
    outgoing = HttpClient(policy, resolving("169.254.169.254"))
    assert "not allowed" in failure(allowed(outgoing, "http://ehr.example.org/fhir")).reason
    outgoing.close()


def test_a_listed_name_may_lie_in_a_private_network(server):
    base = f"http://ehr.example.org:{server.server_port}/fhir"
    outgoing = HttpClient(Policy(bases=bases(base)), resolving("127.0.0.1"))
    server.answers["/fhir/Patient/pt-1"] = fhir(PATIENT)
    assert allowed(outgoing, base)("Patient/pt-1", soon())
    outgoing.close()


def test_a_name_that_does_not_resolve_is_a_failure():
    def resolve(*_args, **_named):
        raise socket.gaierror(-2, "Name or service not known")

    outgoing = HttpClient(Policy(bases=bases("https://ehr.example.org/fhir")), resolve)
    assert "cannot be reached" in failure(allowed(outgoing, "https://ehr.example.org/fhir")).reason
    outgoing.close()


def test_plain_http_on_a_tls_base_is_a_failure(server):
    base = f"https://127.0.0.1:{server.server_port}/fhir"
    outgoing = HttpClient(Policy(bases=(parse_base(base),)))
    assert failure(allowed(outgoing, base, TOKEN)).status is None
    assert server.requests == []
    outgoing.close()
