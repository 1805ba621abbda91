"""What `b12-cds export fhir` writes: every resource is valid FHIR, and nothing in it points nowhere."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fhir.resources.R4B import get_fhir_model_class

from cds_service.cli import main
from tests.api import exported_libraries
from tests.depth import chosen

Json = dict[str, Any]
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
BUNDLES = (25, 1_000_000)  # of the test Bundles, validated on a change and thorough


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the command writes it."""
    found = tmp_path_factory.mktemp("exported") / "package"
    done = CliRunner().invoke(main, ["export", "fhir", str(found)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return found


@pytest.fixture(scope="module")
def resources(folder: Path) -> list[Json]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*-*.json"))]


def of_type(resources: list[Json], kind: str) -> list[Json]:
    return [each for each in resources if each["resourceType"] == kind]


def test_every_resource_is_valid_and_has_an_address_of_its_own(resources):
    assert {each["resourceType"] for each in resources} == {
        "ValueSet",
        "Library",
        "PlanDefinition",
        "ActivityDefinition",
    }
    for each in resources:
        get_fhir_model_class(each["resourceType"]).model_validate(each)
        assert ID.fullmatch(each["id"])
    assert len({each["url"] for each in resources}) == len(resources)
    assert {each["status"] for each in resources} == {"draft"}  # as long as nobody has approved the content


def test_the_test_bundles_are_valid_and_say_what_is_expected(folder, content):
    paths = sorted((folder / "tests").glob("Bundle-*.json"))
    assert len(paths) > 1000
    libraries = exported_libraries(content)
    for path in paths[:: max(1, len(paths) // chosen(*BUNDLES))]:
        bundle = json.loads(path.read_text())
        get_fhir_model_class("Bundle").model_validate(bundle)
        parts = {each["resource"]["id"]: each["resource"] for each in bundle["entry"]}
        assert {each["name"] for each in parts["expected"]["parameter"]} >= {"Label", "Rows", "Treat"}
        pathway = next(name for name in libraries if bundle["id"].startswith(name))
        must = {each.name for each in libraries[pathway].parameters() if not libraries[pathway].is_computed(each.name)}
        assert {each["name"] for each in parts["given"]["parameter"]} == must | {"Day"}


def test_every_condition_is_a_definition_of_the_library(resources):
    libraries = {each["url"]: b64decode(each["content"][0]["data"]).decode() for each in of_type(resources, "Library")}
    for plan in of_type(resources, "PlanDefinition"):
        (canonical,) = plan["library"]
        defined = set(re.findall(r'^define "([^"]+)"', libraries[canonical.partition("|")[0]], re.MULTILINE))
        named = [expression["expression"] for expression in expressions(plan)]
        assert named and set(named) <= defined


def expressions(action: Json) -> list[Json]:
    """Every expression of a plan, however deep."""
    found = [each["expression"] for each in (*action.get("condition", ()), *action.get("dynamicValue", ()))]
    return found + [each for inner in action.get("action", ()) for each in expressions(inner)]


def test_every_canonical_is_in_the_package(resources):
    known = {f"{each['url']}|{each['version']}" for each in resources}
    for plan in of_type(resources, "PlanDefinition"):
        assert set(re.findall(r'"definitionCanonical": "([^"]+)"', json.dumps(plan))) <= known
    sets = {each["url"] for each in of_type(resources, "ValueSet")}
    for library in of_type(resources, "Library"):
        cql = b64decode(library["content"][0]["data"]).decode()
        named = set(re.findall(r"^valueset \"[^\"]+\": '([^']+)'", cql, re.MULTILINE))
        assert named and named <= sets


def test_every_parameter_says_whether_it_is_computed_or_given(resources):
    for library in of_type(resources, "Library"):
        taken = [each for each in library["parameter"] if each["use"] == "in" and each["type"] == "boolean"]
        kinds = {each["documentation"].partition(":")[0] for each in taken}
        assert kinds == {"given", "computed, where it is not given"}
        for each in taken:
            assert each["min"] == (1 if each["documentation"].startswith("given:") else 0)
        cql = b64decode(library["content"][0]["data"]).decode()
        assert all(f'parameter "{each["name"]}" Boolean default null' in cql for each in taken)


def test_every_row_and_draft_names_its_source(resources, content):
    titles = {each.title for each in content.pathways["uk-ng239"].sources.values()}
    for plan in of_type(resources, "PlanDefinition"):
        for group in plan["action"][1:]:
            for row in group["action"]:
                (source,) = row["documentation"]
                assert source["display"] in titles and "checked 20" in source["citation"]


def test_the_package_says_what_it_is(folder, content):
    package = json.loads((folder / "package.json").read_text())
    assert package["version"] == content.version and package["fhirVersions"] == ["4.0.1"]
    index = json.loads((folder / ".index.json").read_text())
    assert {each["filename"] for each in index["files"]} == {path.name for path in folder.glob("*-*.json")}


def test_a_folder_in_use_and_an_odd_address_are_refused(folder, tmp_path):
    full = CliRunner().invoke(main, ["export", "fhir", str(folder)])
    assert full.exit_code == 2 and "is not empty; allowed: a new or an empty folder" in full.output
    odd = CliRunner().invoke(main, ["export", "fhir", str(tmp_path / "new"), "--canonical", "ftp://x"])
    assert odd.exit_code == 2 and "begins with https://" in odd.output
