"""What comes as JSON is read whole where it fits (terminology.md, real data)."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from cds_service.fhir.bundles import Decoded, NestedTooDeepError, UnreadableError, decode
from tests.fhir.decoding import bundle, observation, only, read, resources


def test_null_a_resource_and_a_bundle_are_told_apart():
    assert read(None).kind == "null"
    assert read({"resourceType": "Patient", "id": "p"}).kind == "resource"
    assert read(bundle()).kind == "bundle"
    assert read({"resourceType": "Bundle"}) == Decoded("bundle")


@pytest.mark.parametrize("value", [[], [bundle()], "Bundle", 5, True, {}, {"entry": []}, {"resourceType": 5}])
def test_json_that_is_not_fhir_is_said_to_be_other(value):
    assert read(value).kind == "other"


@pytest.mark.parametrize("kind", ["searchset", "collection", "batch-response", "no such type", None])
def test_a_bundle_of_any_type_or_none_is_read(kind):
    sent = bundle(observation(1), observation(2), total=2, link=[{"relation": "next", "url": "x"}])
    decoded = read(sent | ({"type": kind} if kind else {}))
    assert [resource.id for resource in resources(decoded)] == ["o1", "o2"]
    assert decoded.total == 2
    assert decoded.links[0].url == "x"


def test_a_raw_prefetch_value_is_read_as_it_stands():
    body = b'{"b12": ' + json.dumps(bundle(observation())).encode() + b' , "conditions": null}'
    prefetch = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    assert only(decode(prefetch["b12"])).id == "o1"
    assert decode(prefetch["conditions"]).kind == "null"


@pytest.mark.parametrize("odd", [False, True], ids=["whole", "entry by entry"])
@pytest.mark.parametrize(
    "digits", ["150.10", "0.0", "148", "1e2", "0.30000000000000000001", "12345678901234567890.5", "9" * 5000]
)
def test_a_number_keeps_its_digits(digits, odd):
    status = '["final"]' if odd else '"final"'
    sent = (
        f'{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Observation","id":"o1","status":{status},'
    )
    sent += f'"valueQuantity":{{"value":{digits}}}}}}}]}}'
    value = only(read(sent.encode())).value_quantity.value
    assert str(value) == str(Decimal(digits))


def test_a_bundle_within_a_bundle_is_opened_with_its_page_link():
    inner = bundle(observation(2), bundle(observation(3)), link=[{"relation": "next", "url": "page-2"}])
    decoded = read(bundle(observation(1), inner, observation(4)))
    assert [resource.id for resource in resources(decoded)] == ["o1", "o2", "o3", "o4"]
    assert [link.url for link in decoded.links] == ["page-2"]


def test_entries_without_a_resource_are_counted_as_damage():
    entries = [{}, {"fullUrl": "x"}, {"resource": None}, {"resource": {"id": "x"}}, {"resource": observation()}]
    decoded = read({"resourceType": "Bundle", "entry": entries})
    assert only(decoded).id == "o1"
    assert decoded.damaged == 4
    assert [each.reason for each in decoded.ignored] == [
        "an entry without a resource",
        "a resource without a resourceType",
    ]


@pytest.mark.parametrize(
    "text", [b"", b"<html></html>", b"{", b'{"resourceType":"Bundle"', b'{"a":tru}', b'{"id":"\xff"}', rb'"\ud800"']
)
def test_what_is_not_json_is_unreadable(text):
    with pytest.raises(UnreadableError):
        decode(text)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [('{"contained":[', "]}"), ('{"entry":[{"resource":', "}]}"), ('{"unknown":[', "]}")],
)
def test_what_is_nested_too_deep_is_told_and_breaks_nothing(opening, closing):
    deep = opening * 50_000 + "{}" + closing * 50_000
    for kind in ("Bundle", "Observation"):
        with pytest.raises(NestedTooDeepError) as told:
            decode(f'{{"resourceType":"{kind}","entry":{deep}}}'.encode())
        assert isinstance(told.value, UnreadableError)
        assert isinstance(told.value, RecursionError)


@pytest.mark.needs("corpora")
def test_every_resource_of_the_corpora_is_read_as_it_is():
    files = sorted(Path(os.environ["CORPUS_DIR"]).glob("*/*.json"))
    assert files
    for file in files:
        decoded = decode(file.read_bytes())
        assert len(decoded.entries) == len(json.loads(file.read_text())["entry"])
        assert (decoded.kind, decoded.ignored, decoded.damaged) == ("bundle", (), 0)
