"""The image's own steps, carried out here without an engine, give an environment that runs and holds nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.deploy.image import DOCKERFILE, ROOT, Image, context, files, stages

PINNED = {line.split("==")[0] for line in (ROOT / "deploy/requirements.lock").read_text().splitlines() if "==" in line}


def test_the_dockerfile_names_no_registry_and_uses_no_shell():
    for stage in stages(DOCKERFILE.read_text()):
        assert "/" not in stage.base
        assert ":" in stage.base
        for word, rest in stage.steps:
            if word in ("RUN", "CMD", "ENTRYPOINT"):
                assert all(isinstance(part, str) for part in json.loads(rest))
    assert "http" not in DOCKERFILE.read_text().replace("http.client", "").replace("h.HTTPConnection", "")


def test_a_linter_of_dockerfiles_finds_nothing_in_it_and_would_find_a_fault(tmp_path: Path):
    program = Path(sys.executable).parent / "hadolint"
    # DL3059 asks for RUN steps to be joined: ours are in the exec form, without a shell that could join them
    lint = [program, "--ignore", "DL3059", "--no-color"]
    assert subprocess.run([*lint, DOCKERFILE], capture_output=True, text=True, timeout=60).stdout == ""
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(DOCKERFILE.read_text().replace("python:3.11-slim", "python"))
    assert "DL3006" in subprocess.run([*lint, wrong], capture_output=True, text=True, timeout=60).stdout


def test_it_runs_as_a_fixed_user_that_is_not_root():
    user = stages(DOCKERFILE.read_text())[-1].said("USER")
    assert [int(part) for part in user.split(":")] == [10001, 10001]


def test_every_installation_checks_hashes_or_takes_what_was_just_built():
    for stage in stages(DOCKERFILE.read_text()):
        for words in (json.loads(rest) for word, rest in stage.steps if word == "RUN"):
            if "install" in words:
                assert {"--require-hashes"} <= set(words) or {"--no-index", "--no-deps"} <= set(words), words


def test_the_builder_is_given_nothing_of_a_checkouts_own_keys_and_notes(tmp_path: Path):
    context(tmp_path)
    given = set(files(tmp_path))
    assert {name.split("/")[0] for name in given} == {
        "pyproject.toml", "README.md", "LICENSE", "cds_service", "cards", "docs", "fixtures", "deploy", ".ci",
    }  # fmt: skip
    assert {name for name in given if name.startswith("docs/")} == {"docs/protocol-checklist.md"}
    assert {name for name in given if name.startswith(".ci/")} == {".ci/pack_vignettes.py"}
    assert {name for name in given if name.startswith("deploy/")} == {"deploy/build.lock", "deploy/requirements.lock"}
    assert not [name for name in given if "__pycache__" in name or "secrets" in name]


@pytest.mark.needs("packages")
def test_the_image_says_its_version_and_checks_its_content_from_an_empty_folder(image: Image):
    assert list(files(Path(image.real(image.folder)))) == []
    assert image.run(image.entry("--version"), check=True).stdout.startswith("b12-cds, version ")
    checked = image.run(image.entry("check"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert list(files(Path(image.real(image.folder)))) == []


@pytest.mark.needs("packages")
def test_the_image_holds_what_is_locked_and_our_wheel_and_nothing_else(image: Image, environment_of_image: Path):
    packages = environment_of_image / "lib" / "python3.11" / "site-packages"
    names = {found.stem.rpartition("-")[0] for found in packages.glob("*.dist-info")}
    assert {canonicalize_name(name) for name in names} == PINNED | {"b12-cds"}
    assert not list(environment_of_image.rglob("pip"))
    assert (packages / "cds_service" / "cards" / "content.toml").is_file()
    assert not (packages / "tests").exists()


@pytest.mark.needs("packages")
def test_without_clients_the_image_does_not_start_and_says_why(image: Image):
    refused = image.run(image.entry())
    assert refused.returncode == 2
    assert "CDS_CLIENTS" in refused.stderr
