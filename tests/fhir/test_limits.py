"""The limits of repeated elements are far above what the corpora hold, and stand in deploy/README.md as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cds_service.fhir.resources import Resource
from tests.deploy.manifests import DEPLOY
from tests.limits import LIMITS, longest, most_of, table

FAR = 5  # times what was seen


@pytest.mark.needs("corpora")
def test_every_limit_is_far_above_what_real_systems_send_and_is_written_down():
    found = longest(Path(os.environ["CORPUS_DIR"]))
    assert found["Bundle.entry"] > 100, "the corpora were read"
    for limit in LIMITS:
        assert limit.most >= FAR * (most_of(limit, found) or 0), limit
    assert table(found) in (DEPLOY / "README.md").read_text(), "python -m tests.limits prints it"


def test_what_the_table_counts_are_fields_that_are_read():
    for limit in LIMITS:
        for path in limit.paths:
            kind, name, *_ = path.split(".")
            assert kind in ("*", "Bundle", "Medication", "Observation")
            assert name in Resource.__struct_encode_fields__
