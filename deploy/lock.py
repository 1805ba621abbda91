"""Makes what says exactly what is installed: requirements.lock, build.lock, tests.lock and sbom.cdx.json.

Run with the Python of the image (3.11, Linux) and the project's test extra: `python deploy/lock.py`. The versions that
the lock files hold are kept unless --upgrade is given. No file names a registry: where packages come from is the
business of the machine that installs them, their hashes are not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parent
ROOT = DEPLOY.parent
LOCK, BUILD_LOCK, SBOM = DEPLOY / "requirements.lock", DEPLOY / "build.lock", DEPLOY / "sbom.cdx.json"
TEST_LOCK = DEPLOY / "tests.lock"  # the service as it is locked, and what tries it
QUIET = ("--quiet", "--strip-extras", "--allow-unsafe", "--no-config")
IN_IMAGE = ("--extra", "postgres", "--extra", "traces")
NO_HOSTS = ("--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links")
LINKS_KEPT = {"vcs", "website"}  # of a component: where its source is


def compile_lock(target: Path, *asked: str) -> None:
    """Resolve and write one lock file, with the hashes of every file that may be installed."""
    command = [sys.executable, "-m", "piptools", "compile", "--generate-hashes", *QUIET, *NO_HOSTS, *asked]
    named = {**os.environ, "CUSTOM_COMPILE_COMMAND": "python deploy/lock.py"}
    subprocess.run([*command, "--output-file", target.name, "../pyproject.toml"], cwd=DEPLOY, env=named, check=True)


def install(python: Path, lock: Path) -> None:
    """Install a lock file into an environment, each file checked against its hash, nothing built."""
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", lock], check=True)


def bill_of(python: Path) -> dict[str, Any]:
    """The bill of materials (CycloneDX 1.6) of an environment: the same environment, the same text."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--short-PURLs"]
    told = [*command, "--sv", "1.6", "--pyproject", ROOT / "pyproject.toml", python]
    bill = json.loads(subprocess.run(told, check=True, capture_output=True, text=True).stdout)
    return with_licences(without_places(bill), python)


def with_licences(bill: dict[str, Any], python: Path) -> dict[str, Any]:
    """With the licence that a package states in words, where the tool found none that it knows."""
    packages = [str(each) for each in python.parent.parent.glob("lib/python*/site-packages")]
    stated = {each.name: each.metadata.get("License") for each in distributions(path=packages)}
    for part in bill["components"]:
        if not part.get("licenses") and (words := stated.get(part["name"])):
            part["licenses"] = [{"license": {"acknowledgement": "declared", "name": words}}]
    return bill


def without_places(bill: dict[str, Any]) -> dict[str, Any]:
    """Without links to registries, and without what the tool says of itself and of its environment."""
    bill["metadata"] = {"component": bill["metadata"]["component"]}
    for part in (bill["metadata"]["component"], *bill["components"]):
        part.pop("properties", None)
        kept = [link for link in part.pop("externalReferences", []) if link["type"] in LINKS_KEPT]
        if kept:
            part["externalReferences"] = [{"type": link["type"], "url": link["url"]} for link in kept]
    return bill


def bill_of_lock() -> dict[str, Any]:
    """The bill of materials of an environment that holds exactly the lock file."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder)
        python = Path(folder) / "bin" / "python"
        install(python, LOCK)
        return bill_of(python)


def main() -> None:
    upgrade = ("--upgrade",) if "--upgrade" in sys.argv[1:] else ()
    compile_lock(LOCK, *IN_IMAGE, *upgrade)
    compile_lock(BUILD_LOCK, "--only-build-deps", "--build-deps-for", "wheel", *upgrade)
    tested = (*IN_IMAGE, "--extra", "test", "--constraint", LOCK.name, "--constraint", BUILD_LOCK.name)
    compile_lock(TEST_LOCK, *tested, *upgrade)
    SBOM.write_text(json.dumps(bill_of_lock(), indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
