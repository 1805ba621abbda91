"""What the service imports is what pyproject.toml declares, and nothing declared is unused."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
FOR_US = ("test", "docs")  # extras of those who work on the service
NAMESPACES = {"opentelemetry": "opentelemetry-sdk"}  # several distributions share it: the one that is declared
BY_NAME = {"tzdata"}  # data that zoneinfo finds by itself, where the machine has none


def imported(folder: Path, *, at_once: bool = False) -> set[str]:
    """Top-level names of everything that is imported anywhere in the folder, from outside the standard library; with
    `at_once` only what is needed as soon as a module is imported."""
    names = set()
    for file in folder.rglob("*.py"):
        tree = ast.parse(file.read_text())
        for node in tree.body if at_once else ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"cds_service", "tests"}


def plain(name: str) -> str:
    """The name of a distribution as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(modules: set[str]) -> set[str]:
    by_module = packages_distributions()
    return {NAMESPACES.get(module) or plain(by_module[module][0]) for module in modules}


def declared(requirements: list[str]) -> set[str]:
    return {plain(re.match(r"[A-Za-z0-9._-]+", requirement)[0]) for requirement in requirements}


PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILDERS = PYPROJECT["project"], PYPROJECT["build-system"]["requires"]


def test_the_service_imports_what_it_declares_and_declares_what_it_imports():
    """What only an extra brings is imported where it is used; it is no dependency of the service."""
    extras = PROJECT["optional-dependencies"]
    optional = declared([each for name, extra in extras.items() if name not in FOR_US for each in extra])
    assert distributions(imported(ROOT / "cds_service")) - optional | BY_NAME == declared(PROJECT["dependencies"])


def test_what_a_population_needs_is_imported_only_where_it_is_used():
    extras = PROJECT["optional-dependencies"]
    brought = declared([*extras["population"], *extras["spark"]])
    assert not brought & distributions(imported(ROOT / "cds_service", at_once=True))


def test_a_worker_that_sends_no_traces_does_not_hold_what_sends_them():
    code = "import sys, cds_service.app; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "False")


def test_the_tests_import_only_what_the_service_or_the_test_extra_declares():
    allowed = declared(PROJECT["dependencies"]) | declared(PROJECT["optional-dependencies"]["test"])
    assert distributions(imported(ROOT / "tests")) <= allowed


def test_clinical_needs_nothing_but_the_standard_library():
    assert imported(ROOT / "cds_service" / "clinical") == set()


def bounded(requirement: Requirement) -> bool:
    """Does it have a lowest version, and one that is too new?"""
    operators = {each.operator for each in requirement.specifier}
    return ">=" in operators and "<" in operators


def test_every_dependency_has_a_lowest_version_and_one_that_is_too_new():
    extras = PROJECT["optional-dependencies"]
    every = [*PROJECT["dependencies"], *(each for extra in extras.values() for each in extra), *BUILDERS]
    assert [each for each in every if not bounded(Requirement(each))] == []


# What is about decisions speaks to tests/api.py alone; the tests of a module's inside are none of these.
BY_API = ("book.py", "golden.py", "cards/test_vignettes.py", "cards/test_tightness.py", "hooks/test_golden.py")
INSIDE = {"test_rules.py"}


def test_vignette_golden_and_property_tests_import_the_service_through_one_module():
    files = {*(ROOT / "tests" / name for name in BY_API), *(ROOT / "tests" / "clinical").glob("*.py")}
    direct = [file.name for file in files if file.name not in INSIDE and "from cds_service" in file.read_text()]
    assert sorted(direct) == []
