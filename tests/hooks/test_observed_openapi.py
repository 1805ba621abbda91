"""/openapi.json: made from the schemas that we validate with, and true: the running service is as it says."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from werkzeug.test import Client

from cds_service.app import create_app
from cds_service.bounds import LARGEST_BODY
from cds_service.cdshooks.registry import BY_SERVICE_ID, HOOKS
from cds_service.cdshooks.schemas import load_schema
from cds_service.settings import Settings
from cds_service.web.messages import ISSUE_TYPE, KEYWORD_TYPE
from tests.depth import chosen
from tests.hooks.calling import ENVIRON, PATH, body
from tests.hooks.living import TODAY, get, post, prefetch
from tests.hooks.processes import answers, environment, free_port, running, until
from tests.hooks.tokens import write

OUTCOME = Draft202012Validator(load_schema("operation-outcome"))
SECONDS = 400  # for schemathesis, at most; the values at the edges take a tenth of it
PHASES = chosen("examples,coverage", "examples,coverage,fuzzing,stateful")  # fuzzing ends where the time does
EXAMPLES = 100  # of each kind and operation, made up
# Valid data that lacks a required key is refused, and that is meant so (checklist 2.5). One bad entry of a batch of
# feedback costs itself, not the batch: that is no reason to refuse it.
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 412]

[[operations]]
include-path-regex = "/feedback$"
checks.negative_data_rejection.enabled = false
"""


@cache
def document() -> dict[str, Any]:
    return get("/openapi.json").json


def test_it_is_openapi_3_1():
    from schemathesis.specs.openapi.definitions import OPENAPI_31  # here: it takes two seconds to import

    validator = validator_for(OPENAPI_31)(OPENAPI_31)
    assert not [error.message for error in validator.iter_errors(document())]
    assert [*validator.iter_errors({**document(), "paths": {"/": {"get": {"responses": 1}}}})]


def test_it_names_every_address_that_the_service_has(tmp_path):
    """But for the one that a person opens, and the pages for people, which a demo has too."""
    app = create_app(Settings(clients=write(tmp_path), store_url="none"), clock=lambda: TODAY)
    shown = set()
    for rule in app.url_map.iter_rules():
        paths = [rule.rule.replace("<service_id>", each) for each in BY_SERVICE_ID]
        shown |= {(path, method.lower()) for path in paths for method in rule.methods - {"HEAD", "OPTIONS"}}
    paths = Client(app).get("/openapi.json", environ_overrides=ENVIRON).json["paths"]
    assert {(path, method) for path, item in paths.items() for method in item} == shown - {("/", "get")}


def test_its_schemas_are_ours_and_lead_nowhere_else():
    schemas = document()["components"]["schemas"]
    assert schemas["Response"]["title"] == load_schema("response")["title"]
    assert {"FeedbackBody", *(hook.envelope.__name__ for hook in HOOKS.values())} <= set(schemas)
    for reference in references(document()):
        assert reference.removeprefix("#/components/schemas/") in schemas
    whole = {"$ref": "#/components/schemas/Response", "components": {"schemas": schemas}}
    validator = Draft202012Validator(whole)
    answer = post(body(prefetch=prefetch())).json
    assert answer["cards"]
    assert validator.is_valid(answer)
    assert not validator.is_valid({"cards": [{**answer["cards"][0], "indicator": "red"}]})


def references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for each in part for found in references(each)]
    if not isinstance(part, dict):
        return []
    return [part[name] for name in ("$ref",) if name in part] + [
        found for each in part.values() for found in references(each)
    ]


def test_its_example_is_answered_with_a_card():
    for example in document()["components"]["schemas"]["PatientViewRequest"]["examples"]:
        response = post(example)
        assert response.status_code == 200, response.text
        assert response.json["cards"]


@pytest.mark.parametrize("discovery", ["open", "closed"])
def test_with_clients_it_says_that_calls_need_a_token(tmp_path, discovery):
    path = write(tmp_path, f'discovery = "{discovery}"')
    client = Client(create_app(Settings(clients=path, store_url="none"), clock=lambda: TODAY))
    told = client.get("/openapi.json", environ_overrides=ENVIRON).json
    assert told["components"]["securitySchemes"]["client"]["bearerFormat"] == "JWT"
    assert told["paths"][PATH]["post"]["security"] == [{"client": []}]
    assert {"401", "429"} <= set(told["paths"][PATH]["post"]["responses"])
    asked = told["paths"]["/cds-services"]["get"]
    assert ("security" in asked) == (discovery == "closed")
    assert client.get("/cds-services", environ_overrides=ENVIRON).status_code == (401 if discovery == "closed" else 200)
    assert "securitySchemes" not in document()["components"]


def test_every_error_is_an_outcome_by_its_schema():
    wrong = {"hook": 1, "context": {"patientId": 7}}
    answers_to = [
        (post(b"{"), 400),
        (post(wrong), 400),
        (post(body(prefetch=...)), 412),
        (post(body(), path="/cds-services/none"), 404),
        (post(b" " * (LARGEST_BODY + 1)), 413),
        (post(body(), REMOTE_ADDR="192.0.2.1"), 403),
        (get(PATH), 405),
        (get("/nowhere"), 404),
    ]
    for response, status in answers_to:
        assert response.status_code == status
        OUTCOME.validate(response.json)


def test_every_kind_of_issue_that_we_make_is_in_the_schema():
    allowed = load_schema("operation-outcome")["$defs"]["issue"]["properties"]["code"]["enum"]
    assert {*ISSUE_TYPE.values(), *KEYWORD_TYPE.values(), "value"} == set(allowed)


def test_schemathesis_finds_nothing_that_is_not_as_it_says(tmp_path: Path):
    port = free_port()
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
    command += ["run", f"http://127.0.0.1:{port}/openapi.json", "--max-time", str(SECONDS), "--no-color", "--seed", "1"]
    command += ["--max-examples", str(EXAMPLES), "--phases", PHASES]
    command += ["--generation-database", "none", "--continue-on-failure"]
    with running("serve", "--demo", "--port", str(port), TMPDIR=str(tmp_path)) as process:
        until(answers(port), process)
        found = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=SECONDS + 100
        )
        log = process.told().splitlines()
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-1000:]
    assert "Tested: 10" in found.stdout
    bugs = [line for line in log if '"bug"' in line]
    assert not bugs
    assert len(log) > 100
