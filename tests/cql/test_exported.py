"""What `b12-cds export fhir` writes: every resource is valid FHIR, and nothing in it points nowhere."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
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
NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}")
BUNDLES = (25, 1_000_000)  # of the test Bundles, validated on a change and thorough


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command writes."""
    return tmp_path_factory.mktemp("exported") / "package"


@pytest.fixture(scope="module", autouse=True)
def written(folder: Path) -> str:
    """What the command said."""
    done = CliRunner().invoke(main, ["export", "fhir", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


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
        "ImplementationGuide",
    }
    for each in resources:
        get_fhir_model_class(each["resourceType"]).model_validate(each)
        assert ID.fullmatch(each["id"]) and NAME.fullmatch(each["name"])
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
        assert {each["name"] for each in parts["expected"]["parameter"]} >= {"title", "Label"}
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


def test_no_choice_is_by_several_keys(resources):
    """`$apply`'s engine sorts by the last of several keys alone: of two B12 results of one day it took the higher."""
    for library in of_type(resources, "Library"):
        cql = b64decode(library["content"][0]["data"]).decode()
        assert len(re.findall(r"sort by \w+", cql)) > 5 and not re.findall(r"sort by [^)\n]*,", cql)


def test_every_parameter_says_whether_it_is_computed_or_given(resources):
    for library in of_type(resources, "Library"):
        taken = [each for each in library["parameter"] if each["use"] == "in" and each["type"] == "boolean"]
        kinds = {each["documentation"].partition(":")[0] for each in taken}
        parts = {"given, for the orders alone", "given, for the notes alone"}
        assert kinds == {"given", "computed, where it is not given", *parts}
        for each in taken:
            assert each["min"] == (1 if each["documentation"].startswith("given:") else 0)
        cql = b64decode(library["content"][0]["data"]).decode()
        assert all(f'parameter "{each["name"]}" Boolean default null' in cql for each in taken)


def test_every_row_and_draft_names_its_source(resources, content):
    titles = {each.title for each in content.pathways["uk-ng239"].sources.values()}
    activities = {f"{each['url']}|{each['version']}": each for each in of_type(resources, "ActivityDefinition")}
    for plan in of_type(resources, "PlanDefinition"):
        for group in plan["action"][1:]:
            for row in group.get("action", [group]):  # a card that no row makes stands by itself
                drafted = activities.get(row.get("definitionCanonical"), {})
                (source,) = row.get("documentation") or drafted["relatedArtifact"]
                assert source["display"] in titles and "checked 20" in source["citation"]


def test_every_table_note_and_draft_of_the_content_is_exported(resources, content):
    exported = {each["id"]: json.dumps(each) for each in resources}
    for name, pathway in content.pathways.items():
        rows = {f"orders/{row.id}" for row in pathway.orders} | {
            f"{table}/{row.id}"
            for table in ("safety", "course", "interpret", "treat")
            for row in getattr(pathway, table)
        }
        for row in rows:
            assert f'"title": "{row}"' in exported[f"{name}-{row.partition('/')[0]}"]
        said = exported[f"{name}-notes"] + exported[f"{name}-orders"]
        assert [note.id for note in pathway.notes if f'"title": "notes/{note.id}"' not in said] == []
        drafts = [*(("test", each) for each in pathway.orderables), *(("medicine", each) for each in pathway.regimens)]
        for kind, draft in (*drafts, *(("follow-up", each) for each in pathway.follow_ups)):
            assert f"{name}-{kind}-{draft}" in exported


def test_the_package_says_what_it_is_and_lists_what_is_in_it(folder, resources, content):
    """As FHIR's specification of packages wants it: https://hl7.org/fhir/packages.html."""
    package = json.loads((folder / "package.json").read_text())
    assert package["version"] == content.version and package["fhirVersions"] == ["4.0.1"]
    assert all(package[name] for name in ("name", "description", "author", "canonical", "dependencies"))
    for place in (folder, folder / "tests"):
        index = json.loads((place / ".index.json").read_text())
        assert {each["filename"] for each in index["files"]} == {path.name for path in place.glob("*-*.json")}
    (guide,) = of_type(resources, "ImplementationGuide")
    listed = {each["reference"]["reference"] for each in guide["definition"]["resource"]}
    assert listed == {f"{each['resourceType']}/{each['id']}" for each in resources if each is not guide}


def test_the_command_counts_what_it_wrote(folder, resources, written):
    bundles = len(list((folder / "tests").glob("Bundle-*.json")))
    files = sum(path.is_file() for path in folder.rglob("*"))
    assert f"{len(resources)} resources and {bundles} test Bundles" in written
    assert f"({files} files)" in written and files > len(resources) + bundles


@pytest.mark.needs("npm")
def test_npm_packs_it_as_a_fhir_package(folder, tmp_path):
    """One folder, `package`, with the manifest, the index and every resource."""
    command = [
        "npm",
        "pack",
        str(folder),
        "--silent",
        "--offline",
        "--ignore-scripts",
        "--pack-destination",
        str(tmp_path),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (packed,) = tmp_path.glob("*.tgz")
    with tarfile.open(packed) as archive:
        names = set(archive.getnames())
    wanted = {f"package/{path.relative_to(folder)}" for path in folder.rglob("*") if path.is_file()}
    assert wanted == names


def test_a_folder_in_use_and_an_odd_address_are_refused(folder, tmp_path):
    full = CliRunner().invoke(main, ["export", "fhir", str(folder)])
    assert full.exit_code == 2 and "is not empty; allowed: a new or an empty folder" in full.output
    odd = CliRunner().invoke(main, ["export", "fhir", str(tmp_path / "new"), "--canonical", "ftp://x"])
    assert odd.exit_code == 2 and "begins with https://" in odd.output
