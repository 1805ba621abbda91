"""Which FHIR servers may be called for one client: only under the bases that are written down for it (item 69)."""

from __future__ import annotations

from ..fetching import Fetch
from ..http.addresses import AddressRefused, Policy, parse_base
from ..http.client import HttpClient
from .clients import Client


class ClientAccess:
    """The ways to the FHIR servers of one client. Each base has its own: a slow server holds up no other."""

    def __init__(self, client: Client) -> None:
        self._ways = [
            (
                base,
                HttpClient(
                    Policy(
                        bases=(base.base,),
                        anonymous=base.anonymous,
                        private=base.private,
                        below=True,
                        ca_file=client.ca_file,
                    )
                ),
            )
            for base in client.bases
        ]

    def fetch_for(
        self, base: str, token: str, lifetime: float | None, tenant: str | None = None
    ) -> tuple[Fetch | None, str]:
        """A fetch for one hook call, or None and why not. `tenant` is that of the token that was believed."""
        try:
            named = parse_base(base)
        except AddressRefused:
            return None, "the fhirServer is not an address that can be called"
        under = [(each, way) for each, way in self._ways if each.base.holds(named)]
        if not under:
            return None, "the fhirServer is not among the client's FHIR bases"
        narrowest = max(len(each.base.path) for each, _ in under)  # it says how
        for each, way in under:
            if len(each.base.path) == narrowest and (not each.tenants or tenant in each.tenants):
                return way.fetch_for(base, token, lifetime)
        return None, "the fhirServer is not for the caller's tenant"
