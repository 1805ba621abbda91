"""Which addresses may be called: the grammar of bases and page links, and the operator's policy (items 58 and 69)."""

from __future__ import annotations

import pytest

from cds_service.http.addresses import AddressRefused, Base, Policy, parse_base
from tests.fhir.going_out import bases

LISTED = bases("https://ehr.example.org/fhir/r4", "http://10.1.2.3:8080/fhir")
DEMO = Policy(demo=True, own_ports=frozenset({8000}))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("https://EHR.example.org/fhir/r4/", "https://ehr.example.org/fhir/r4"),
        ("HTTPS://ehr.example.org:443/fhir", "https://ehr.example.org/fhir"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[0:0::1]:8080/fhir", "http://[::1]:8080/fhir"),
        ("https://ehr.example.org/api/FHIR/R4/a~b", "https://ehr.example.org/api/FHIR/R4/a~b"),
    ],
)
def test_a_base_has_one_normal_form(text, normal):
    assert parse_base(text).url == normal


ODD = [
    "",
    "ehr.example.org/fhir",
    "//ehr.example.org/fhir",
    "ftp://ehr.example.org/fhir",
    "file:///etc/passwd",
    "http://user@127.0.0.1/fhir",
    "http://127.0.0.1:8080@evil.example/fhir",
    "http://127.0.0.1\\@evil.example/fhir",
    "http://evil.example\\.ehr.example.org/fhir",
    "http://127.0.0.1#@evil.example/fhir",
    "http://127.0.0.1/fhir#part",
    "http://127.0.0.1/fhir?x=1",
    "http://127.0.0.1:/fhir",
    "http://127.0.0.1:0/fhir",
    "http://127.0.0.1:08080/fhir",
    "http://127.0.0.1:65536/fhir",
    "http://127.0.0.1:8080 /fhir",
    "http://127.0.0.1./fhir",
    "http://localhost./fhir",
    "http://local..host/fhir",
    "http://127.1/fhir",
    "http://2130706433/fhir",
    "http://0x7f000001/fhir",
    "http://0177.0.0.1/fhir",
    "http://[::1/fhir",
    "http://[::1%25lo]/fhir",
    "http://[1.2.3.4]/fhir",
    "http://ｌocalhost/fhir",
    "http://127。0。0。1/fhir",
    "http://127.0.0.1/fhir\n",
    "http://127.0.0.1/fh\tir",
    "http://127.0.0.1/fhir/..",
    "http://127.0.0.1/./fhir",
    "http://127.0.0.1/fhir/%2e%2e/x",
    "http://127.0.0.1/fhir%2fx",
    "http://127.0.0.1/fhir%5cx",
    "http://127.0.0.1/fhir%00",
    "http://127.0.0.1/fhir/%252e%252e",
    "http://127.0.0.1/fhir/%zz",
    "http://127.0.0.1//fhir",
    "http://127.0.0.1/" + "x" * 9000,
]


@pytest.mark.parametrize("text", ODD)
def test_an_odd_base_is_refused_without_being_quoted(text):
    with pytest.raises(AddressRefused) as refused:
        parse_base(text)
    assert "127" not in str(refused.value)
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8080/fhir", "http://[::1]:9/fhir", "http://LOCALHOST:8001", "http://localhost/fhir"]
)
def test_the_demo_may_call_this_machine_by_http(text):
    assert DEMO.allows(parse_base(text))
    assert not Policy().allows(parse_base(text))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/fhir",
        "http://localhost:8000",
        "http://[::1]:8000/fhir",
        "https://127.0.0.1:8080/fhir",
        "http://127.0.0.2:8080/fhir",
        "http://[::ffff:127.0.0.1]:8080/fhir",
        "http://localhost.evil.example:8080/fhir",
        "http://127.0.0.1.evil.example/fhir",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/fhir",
        "http://0.0.0.0:8080/fhir",
        "http://[::]:8080/fhir",
    ],
)
def test_the_demo_calls_neither_itself_nor_any_other_machine(text):
    assert not DEMO.allows(parse_base(text))


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("https://ehr.example.org/fhir/r4", True),
        ("https://EHR.example.org:443/fhir/r4/", True),
        ("http://10.1.2.3:8080/fhir", True),
        ("http://ehr.example.org/fhir/r4", False),
        ("https://ehr.example.org/fhir/R4", False),
        ("https://ehr.example.org/fhir", False),
        ("https://ehr.example.org/fhir/r4/other", False),
        ("https://ehr.example.org:8443/fhir/r4", False),
        ("https://ehr.example.org.evil.example/fhir/r4", False),
        ("http://10.1.2.3:8081/fhir", False),
    ],
)
def test_elsewhere_only_the_listed_bases_are_called(text, allowed):
    assert Policy(bases=LISTED).allows(parse_base(text)) is allowed


def test_the_own_port_is_not_called_even_if_it_is_listed():
    own = Policy(bases=bases("http://localhost:8000/fhir"), own_ports=frozenset({8000}))
    assert not own.allows(parse_base("http://localhost:8000/fhir"))


@pytest.mark.parametrize(
    ("host", "address", "allowed"),
    [
        ("localhost", "127.0.0.1", True),
        ("localhost", "::1", True),
        ("localhost", "::ffff:127.0.0.1", True),
        ("localhost", "10.0.0.1", False),
        ("localhost", "93.184.216.34", False),
        ("127.0.0.1", "93.184.216.34", False),
        ("ehr.example.org", "93.184.216.34", True),
        ("ehr.example.org", "10.0.0.1", True),
        ("ehr.example.org", "169.254.169.254", False),
        ("ehr.example.org", "::ffff:169.254.169.254", False),
        ("ehr.example.org", "fe80::1%eth0", False),
        ("ehr.example.org", "0.0.0.0", False),
        ("ehr.example.org", "224.0.0.1", False),
        ("other.example.org", "93.184.216.34", False),
    ],
)
def test_the_address_that_a_name_resolves_to_is_checked(host, address, allowed):
    policy = Policy(bases=bases("https://ehr.example.org/fhir", "http://localhost:443/fhir"))
    assert policy.may_connect(host, 443, address) is allowed


def test_this_machine_is_not_connected_to_outside_of_the_demo():
    assert not Policy(bases=LISTED).may_connect("localhost", 8080, "127.0.0.1")
    assert DEMO.may_connect("localhost", 8080, "127.0.0.1")
    assert not DEMO.may_connect("localhost", 8000, "127.0.0.1")


BASE = parse_base("https://ehr.example.org/fhir")


@pytest.mark.parametrize(
    ("target", "full"),
    [
        ("Patient/pt-1", "https://ehr.example.org/fhir/Patient/pt-1"),
        ("?_getpages=1&_offset=20", "https://ehr.example.org/fhir?_getpages=1&_offset=20"),
        ("/fhir/Observation?page=2", "https://ehr.example.org/fhir/Observation?page=2"),
        ("https://ehr.example.org/fhir?_getpages=1", "https://ehr.example.org/fhir?_getpages=1"),
        ("HTTPS://EHR.example.org:443/fhir/x?u=http://a|b,c", "https://ehr.example.org/fhir/x?u=http://a|b,c"),
        (
            "Observation?date=ge2026-01-01T00:00:00Z",
            "https://ehr.example.org/fhir/Observation?date=ge2026-01-01T00:00:00Z",
        ),
    ],
)
def test_a_link_under_the_base_is_followed(target, full):
    assert BASE.address_of(target) == full


@pytest.mark.parametrize(
    "target",
    [
        "https://ehr.example.org/fhir-evil?page=2",
        "https://ehr.example.org/",
        "https://ehr.example.org?page=2",
        "http://ehr.example.org/fhir?page=2",
        "https://ehr.example.org:8443/fhir?page=2",
        "https://evil.example/fhir?page=2",
        "https://ehr.example.org@evil.example/fhir?page=2",
        "//evil.example/fhir",
        "/other",
        "../other",
        "Patient/../../other",
        "Patient/%2e%2e/%2e%2e/other",
        "https://ehr.example.org/fhir/../admin",
        "javascript:alert(1)",
        "https://ehr.example.org/fhir?x#y",
        "https://ehr.example.org/fhir?x y",
        "Patient/a\r\nHost: evil.example",
    ],
)
def test_a_link_elsewhere_is_refused(target):
    with pytest.raises(AddressRefused):
        BASE.address_of(target)


def test_a_base_without_a_path_covers_its_origin():
    assert Base("http", "127.0.0.1", 8080, "").address_of("/any?x=1") == "http://127.0.0.1:8080/any?x=1"
