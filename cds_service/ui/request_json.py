"""A hook request as JSON that a form can change, and a request made of what a person pastes.

The service itself never works like this. Here a person changes one number of a request, or brings a FHIR Bundle about
one patient, and wants the rest, odd parts included, to stay as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec

from cds_service.cdshooks.bundle_call import BundleRefused, Extent, call_of_bundle, reference_to, resource_of
from cds_service.cdshooks.faults import BadRequest
from cds_service.cdshooks.requests import HookRequest, named_hook, read_request
from cds_service.web.messages import Refused

Json = dict[str, Any]
WHOLE = Extent(complete=True)  # who pastes a record shows all that is to be judged
ENCODER = msgspec.json.Encoder(decimal_format="number")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


class Tree:
    """A request that the service can read, decoded whole. Refused, if it is none."""

    def __init__(self, body: bytes) -> None:
        hook = named_hook(body, otherwise="patient-view")
        try:
            read: HookRequest = read_request(body, hook)
            self.json: Json = json.loads(body, parse_float=number, parse_int=number, parse_constant=no_number)
        except BadRequest as error:
            raise Refused(400, faults=error.faults) from None
        except (ValueError, RecursionError):
            raise Refused(400, "the request holds something that cannot be written down again") from None
        self.patient_id = read.patient_id
        self._index: dict[str, list[Json]] | None = None

    def encoded(self) -> bytes:
        """The request as bytes, numbers with their trailing zeros."""
        try:
            return ENCODER.encode(self.json)
        except (ValueError, RecursionError):
            raise Refused(400, "the request holds something that cannot be written down again") from None

    @property
    def hook(self) -> str:
        hook: str = self.json["hook"]
        return hook

    @property
    def context(self) -> Json:
        context: Json = self.json["context"]
        return context

    def renew(self) -> None:
        """Make it another call: one of its own, as each call of a client is."""
        self.json["hookInstance"] = str(uuid4())

    def bundles(self) -> Iterator[Json]:
        """Every Bundle of the prefetch that has entries."""
        prefetch = self.json.get("prefetch")
        for found in prefetch.values() if isinstance(prefetch, dict) else ():
            if isinstance(found, dict) and isinstance(found.get("entry"), list):
                yield found

    def patient(self) -> Json | None:
        """The Patient of the context, as it was sent."""
        prefetch = self.json.get("prefetch")
        found = prefetch.get("patient") if isinstance(prefetch, dict) else None
        return found if isinstance(found, dict) and found.get("resourceType") == "Patient" else None

    def find(self, reference: str) -> Json | None:
        """The one resource of that reference; None if there is none, or more than one version of it."""
        if self._index is None:
            self._index = {}
            for resource in (resource_of(each) for bundle in self.bundles() for each in bundle["entry"]):
                self._index.setdefault(reference_to(resource), []).append(resource)
        found = self._index.get(reference, [])
        return found[0] if len(found) == 1 else None

    def drop(self, references: Collection[str]) -> None:
        """Take every resource of these references out."""
        self._index = None
        for bundle in self.bundles():
            left = [each for each in bundle["entry"] if reference_to(resource_of(each)) not in references]
            if len(left) < len(bundle["entry"]):
                bundle["entry"] = left
                bundle.pop("total", None)  # with the old one it would seem that a part is missing

    def add(self, key: str, resource: Json) -> None:
        """Put a resource in, under that prefetch key."""
        self._index = None
        if not isinstance(self.json.get("prefetch"), dict):
            self.json["prefetch"] = {}
        found = self.json["prefetch"].get(key)
        if not isinstance(found, dict) or found.get("resourceType") != "Bundle":
            found = self.json["prefetch"][key] = {"resourceType": "Bundle", "type": "searchset"}
        if not isinstance(found.get("entry"), list):
            found["entry"] = []
        found["entry"].append({"resource": resource, "search": {"mode": "match"}})
        found.pop("total", None)

    def order(self, resource: Json) -> None:
        """Make it the call about this one draft order, just chosen."""
        self.json["hook"] = "order-select"
        entries = [{"resource": resource}]
        self.context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        self.context["selections"] = [f"{resource['resourceType']}/{resource['id']}"]

    def sign(self, resources: Collection[Json]) -> None:
        """Make it the call about these draft orders being signed: a proposal that was accepted is an order."""
        entries = [{"resource": each | {"intent": "order"}} for each in resources]
        bundle: Json = {"resourceType": "Bundle", "type": "collection"}
        self.json["hook"] = "order-sign"
        self.context["draftOrders"] = bundle | ({"entry": entries} if entries else {})
        self.context.pop("selections", None)

    def without_orders(self) -> None:
        """Make it the call of a patient's chart being opened."""
        self.json["hook"] = "patient-view"
        for name in ("draftOrders", "selections"):
            self.context.pop(name, None)


def json_loads(text: str) -> Any:
    """JSON with the digits of its numbers as they were written. ValueError for other texts."""
    return json.loads(text, parse_float=number, parse_int=number, parse_constant=no_number)


def number(text: str) -> Decimal:
    """A number with the digits that were written."""
    if not NUMBER.fullmatch(text) or len(text) > 400:
        raise ValueError(text)
    return Decimal(text)


def no_number(_: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON")


ALLOWED = "allowed is a CDS Hooks request, or a FHIR Bundle that holds one Patient and what belongs to it, as JSON"


def request_of(body: bytes, prefetch: Mapping[str, str]) -> bytes:
    """The hook request that was pasted, or that a pasted Bundle makes with these templates. Refused for other texts."""
    try:
        sent = json.loads(body, parse_float=number, parse_int=number, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise Refused(400, f"What was pasted is not JSON; {ALLOWED}") from None
    if not isinstance(sent, dict) or not ("hook" in sent or sent.get("resourceType") == "Bundle"):
        raise Refused(400, f"What was pasted is neither; {ALLOWED}")
    if "hook" in sent:
        return body
    try:
        return ENCODER.encode(call_of_bundle(sent, prefetch, WHOLE))
    except BundleRefused as error:
        raise Refused(400, str(error)) from None
    except (ValueError, RecursionError):
        raise Refused(400, f"What was pasted cannot be written down again; {ALLOWED}") from None
