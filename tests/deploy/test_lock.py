"""What is installed is locked: every version and every file, without a word about where it comes from."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests import depth

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PIP = [sys.executable, "-m", "pip"]
AT_MOST = 300.0  # seconds
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "build.lock", "tests.lock")
IN_IMAGE = ["postgres", "traces"]  # the extras
ENTRY = re.compile(r"^([a-z0-9-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def locked(name: str) -> dict[str, str]:
    """Package -> version. Each entry has at least one hash."""
    return {package: version for package, version, _ in ENTRY.findall((DEPLOY / name).read_text())}


def lock_script() -> ModuleType:
    """deploy/lock.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("deploy_lock", DEPLOY / "lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bill() -> dict[str, Any]:
    return json.loads((DEPLOY / "sbom.cdx.json").read_text())


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_file_is_a_version_a_hash_or_a_remark(name: str):
    text = (DEPLOY / name).read_text()
    left = re.sub(r"^ *#.*\n", "", ENTRY.sub("", text), flags=re.MULTILINE)
    assert left.strip() == ""
    assert "://" not in text


@pytest.mark.parametrize("name, extras", [("requirements.lock", IN_IMAGE), ("tests.lock", [*IN_IMAGE, "test"])])
def test_the_lock_file_satisfies_every_dependency_of_the_project(name: str, extras: list[str]):
    project, versions = PROJECT["project"], locked(name)
    wanted = [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]
    unmet = [
        text
        for text, one in ((text, Requirement(text)) for text in wanted)
        if not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"), prereleases=True)
    ]
    assert unmet == [], "run python deploy/lock.py"


@pytest.mark.needs("wheel")  # which is installed beside exactly what is locked
def test_every_locked_package_can_be_installed_on_the_oldest_python_that_is_promised():
    """The files are made with one Python and used with others: Debian 12 has 3.11.2."""
    (oldest,) = SpecifierSet(PROJECT["project"]["requires-python"])
    assert oldest.operator == ">="
    wanted = {canonicalize_name(each.name): each.metadata.get("Requires-Python") for each in distributions()}
    names = {package for name in LOCKS for package in locked(name)}
    assert names <= wanted.keys()
    first = f"{oldest.version}.0"
    assert {name: wanted[name] for name in names if first not in SpecifierSet(wanted[name] or "")} == {}


def test_what_is_tried_is_what_is_shipped():
    """The tests run with the versions that the image holds."""
    tried = locked("tests.lock")
    shipped = {**locked("build.lock"), **locked("requirements.lock")}
    assert {name: tried.get(name) for name in shipped} == shipped, "run python deploy/lock.py"


def test_the_build_is_locked_too():
    versions = locked("build.lock")
    for one in map(Requirement, PROJECT["build-system"]["requires"]):
        assert one.specifier.contains(versions[canonicalize_name(one.name)])


@pytest.mark.needs("packages")
# These tests run in what tests.lock resolves to, and the image's own steps install requirements.lock as strictly.
@pytest.mark.parametrize("name", depth.chosen(["build.lock"], ["requirements.lock", "build.lock"]))
def test_the_lock_file_resolves_with_hashes(name: str):
    asked = ["install", "--dry-run", "--ignore-installed", "--require-hashes", "--only-binary", ":all:", "--quiet"]
    done = subprocess.run([*PIP, *asked, "-r", DEPLOY / name], capture_output=True, text=True, timeout=AT_MOST)
    assert done.returncode == 0, done.stderr


@pytest.mark.needs("packages")
def test_pip_refuses_a_file_with_another_hash(tmp_path: Path):
    text = (DEPLOY / "build.lock").read_text()
    changed = tmp_path / "changed.lock"
    changed.write_text(re.sub("sha256:[0-9a-f]{4}", "sha256:0000", text))
    asked = ["install", "--dry-run", "--ignore-installed", "--require-hashes", "--only-binary", ":all:", "--quiet"]
    done = subprocess.run([*PIP, *asked, "-r", changed], capture_output=True, text=True, timeout=AT_MOST)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_the_bill_of_materials_lists_exactly_what_is_locked():
    listed = [(canonicalize_name(part["name"]), part["version"]) for part in bill()["components"]]
    assert sorted(listed) == sorted(locked("requirements.lock").items()), "run python deploy/lock.py"


def test_every_component_has_its_package_address_and_a_licence():
    for part in bill()["components"]:
        assert part["purl"].lower() == f"pkg:pypi/{part['name']}@{part['version']}".lower().replace("_", "-")
        assert part["licenses"], part["name"]


def test_the_bill_of_materials_names_no_machine_no_registry_and_no_moment():
    text = (DEPLOY / "sbom.cdx.json").read_text()
    told = json.loads(text)
    links = [link["url"] for part in told["components"] for link in part.get("externalReferences", [])]
    assert not [url for url in links if re.match(r"https?://([a-z.]*\.)?(pypi|pythonhosted)\.", url)]
    assert not re.search(r"file:|/tmp/|/home/|/root/", text)
    assert str(ROOT) not in text
    assert "timestamp" not in told["metadata"]
    assert "serialNumber" not in told


@pytest.mark.needs("packages")
def test_the_bill_of_materials_is_made_again_just_the_same(environment_of_image: Path, tmp_path: Path):
    """Of what the image has installed from the lock file, without our wheel: an installation of its own, made by
    `bill_of_lock`, would hold the same."""
    lock = lock_script()
    assert lock.bill_of(without_our_wheel(environment_of_image, tmp_path)) == bill(), "run python deploy/lock.py"
    if depth.is_thorough():
        assert lock.bill_of_lock() == bill()


def without_our_wheel(environment: Path, folder: Path) -> Path:
    """The Python of an environment that has the same packages installed but for b12-cds."""
    venv.create(folder)
    (packages,) = environment.glob("lib/python*/site-packages")
    (empty,) = folder.glob("lib/python*/site-packages")
    for each in packages.iterdir():
        if not each.name.startswith(("cds_service", "b12_cds")):
            (empty / each.name).symlink_to(each)
    return folder / "bin" / "python"
