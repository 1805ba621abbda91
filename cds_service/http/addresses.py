"""Which addresses are what they seem: a strict reading of the URLs that callers and servers hand us.

An address is taken apart by one narrow grammar instead of a forgiving parser, because two forgiving parsers that
disagree are how a check is passed with one host and a call is made to another. What the grammar does not know is
refused: user names, backslashes, fragments, white space, odd ports, hosts with a trailing dot. So is every path that a
server could read as another one: with dots as a part, a semicolon (what follows it is a parameter to Tomcat and Jetty,
and `..;` leads up), or anything of that encoded, once or twice. tests/fhir/test_paths.py tries it on both servers.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

from ..bounds import LARGEST_BODY

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?P<path>/[A-Za-z0-9._~!$&'()*+,=:@%/|-]*)?(?P<query>\?[^\s#\\\"<>]*)?",
    re.IGNORECASE | re.ASCII,
)
_NAVIGATES = re.compile(r"\.+")  # this part, the one above, and what some servers take for them
# Printable ASCII but for what separates, hides or encodes something; other letters have forms that become dots.
_PLAIN_PART = re.compile(r"[!-~]*", re.ASCII)
_SEPARATORS = frozenset("/\\;%#?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")
_UNICAST = ipaddress.ip_network("2000::/3")  # of IPv6, only these lead out into the world
_CLOUD_METADATA = ipaddress.ip_address("fd00:ec2::254")
_LONGEST = 8_000  # characters; longer than any page link we know of, shorter than what a front end accepts


class AddressRefused(ValueError):
    """An address that we do not call. The text says why, and never quotes the address."""


@dataclass(frozen=True, slots=True)
class Base:
    """A FHIR base URL in normal form: lower case scheme and host, the port always given, no slash at the end."""

    scheme: str
    host: str  # an IPv6 address without its brackets
    port: int
    path: str  # "" or "/fhir/r4"

    @property
    def origin(self) -> str:
        """Scheme, host and port, as a URL writes them (a default port is left out)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def url(self) -> str:
        return self.origin + self.path

    @property
    def loopback_name(self) -> bool:
        """Whether it names this machine literally."""
        return self.host in LOOPBACK_NAMES

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the path as a server reads them: decoded, and without empty ones."""
        return tuple(unquote(part) for part in self.path.split("/") if part)

    def holds(self, other: Base) -> bool:
        """Whether the other base is this one or lies under it."""
        same_origin = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        return same_origin and other.parts[: len(self.parts)] == self.parts

    def address_of(self, target: str) -> str:
        """The full address of `target`, which must lie under this base.

        Relative targets ("Patient/1", "?page=2") are under the base, "" is the base; "/fhir/Patient" is under its
        origin.
        """
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", target):
            full = target
        elif target.startswith("//"):
            raise AddressRefused("an address without scheme")
        elif target.startswith("/"):
            full = self.origin + target
        else:
            full = self.url + target if not target or target.startswith("?") else f"{self.url}/{target}"
        found, query = _take_apart(full)
        if (found.scheme, found.host, found.port) != (self.scheme, self.host, self.port):
            raise AddressRefused("an address of another origin than the FHIR base")
        if not self.holds(found):
            raise AddressRefused("an address that does not lie under the FHIR base")
        return found.url + query


def parse_base(text: str) -> Base:
    """A FHIR base URL, as a caller or an operator wrote it."""
    base, query = _take_apart(text)
    if query:
        raise AddressRefused("a base URL with a query")
    path = base.path.rstrip("/")
    if "//" in path:
        raise AddressRefused("a base URL with an empty part in its path")
    return Base(base.scheme, base.host, base.port, path)


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be called, and how much of it is read.

    `demo` allows FHIR bases on this machine, by http, on any port but `own_ports`. `bases` are the operator's: only
    they may lie in a private network, and without `private` they may not either. With `below`, what lies under one of
    them is allowed too. Without `anonymous` nothing is called without a token.
    """

    bases: tuple[Base, ...] = ()
    demo: bool = False
    own_ports: frozenset[int] = frozenset()
    anonymous: bool = True
    private: bool = True
    below: bool = False
    answer_bytes: int = LARGEST_BODY  # decoded, one answer
    call_bytes: int = LARGEST_BODY  # decoded, all answers of one hook call
    at_once: int = 16  # calls to one origin at the same time
    ca_file: str | None = None  # certificates of a hospital's own authority

    def allows(self, base: Base) -> bool:
        """Whether this FHIR base may be called at all."""
        if base.loopback_name and base.port in self.own_ports:
            return False
        listed = base in self.bases or (self.below and any(each.holds(base) for each in self.bases))
        return listed or (self.demo and base.scheme == "http" and base.loopback_name)

    def may_connect(self, host: str, port: int, address: str) -> bool:
        """Whether a connection for this host may go to this address, the one it resolved to just now."""
        listed = any(host == base.host and port == base.port for base in self.bases)
        if not self.private:
            return listed and _is_public(address)
        if host in LOOPBACK_NAMES:
            return (self.demo or listed) and port not in self.own_ports and _plain_address(address).is_loopback
        return listed and not _is_never_a_server(address)


def _take_apart(text: str) -> tuple[Base, str]:
    """The normal form of an address, its path as written, and its query with the question mark."""
    if len(text) > _LONGEST:
        raise AddressRefused("an address that is too long")
    match = _URL.fullmatch(text)
    if match is None or not text.isascii():
        raise AddressRefused("not a plain http or https address")
    scheme = match["scheme"].lower()
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if port > 65535:
        raise AddressRefused("a port that does not exist")
    path = match["path"] or ""
    _check_path(path)
    return Base(scheme, _host(match["host"].lower()), port, path), match["query"] or ""


def _host(text: str) -> str:
    """A host name, or an IP address in its one usual spelling."""
    if text.startswith("["):
        try:
            return ipaddress.IPv6Address(text[1:-1]).compressed
        except ValueError:
            raise AddressRefused("not an IPv6 address") from None
    if ".." in text:
        raise AddressRefused("a host with an empty part")
    if re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]+", text):  # 127.1, 0x7f000001 and 2130706433 are addresses to some resolvers
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise AddressRefused("not a plain IPv4 address") from None
    return text


def _plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IP address; an IPv4 address dressed as IPv6 is undressed first."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _is_never_a_server(text: str) -> bool:
    """Link-local (a cloud's metadata service lives there), multicast and unspecified addresses."""
    address = _plain_address(text)
    return address.is_link_local or address.is_multicast or address.is_unspecified or address == _CLOUD_METADATA


def _is_public(text: str) -> bool:
    """An address of the world at large; none in which an IPv4 address is hidden (6to4, Teredo, NAT64)."""
    address = _plain_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return address in _UNICAST and address.is_global and address.sixtofour is None and address.teredo is None
    return address.is_global and not address.is_multicast


def _check_path(path: str) -> None:
    """Refuse what a client library or a server could read as another path than the one we compare."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise AddressRefused("a path with a broken percent sign")
    for part in path.split("/"):
        plain = unquote(part, errors="replace")
        if _NAVIGATES.fullmatch(plain) or not _PLAIN_PART.fullmatch(plain) or _SEPARATORS & set(plain):
            raise AddressRefused("a path with hidden signs")


def leads_here(base: str, port: str) -> bool:
    """Would a call to this FHIR base come back to the service on that port of this machine?"""
    try:
        parsed = parse_base(base)
    except AddressRefused:
        return False
    return parsed.loopback_name and str(parsed.port) == port
