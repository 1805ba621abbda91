"""The maintainer's script of a release: the same bytes twice, notes from the changelogs, a refusal that says why."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cds_service

ROOT = Path(__file__).resolve().parents[2]
VERSION = cds_service.__version__
AT_MOST = 500.0  # seconds for one run, which builds twice
DOCKER = '#!/bin/sh\nfor word in "$@"; do echo "$word"; done > "$SEEN"\n'


def git(tree: Path, *words: str) -> str:
    who = ["-c", "user.name=Maintainer", "-c", "user.email=maintainer@example.org"]
    return subprocess.run(["git", *who, *words], cwd=tree, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own, with what lies here as its only commit."""
    folder = tmp_path_factory.mktemp("release") / "tree"
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "What is released")
    return folder


def release(tree: Path, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tree / "deploy" / "release.py"), *arguments]
    return subprocess.run(command, env=os.environ | changed, capture_output=True, text=True, timeout=AT_MOST)


def test_a_release_is_refused_with_all_that_it_lacks(tree: Path):
    refused = release(tree)
    assert refused.returncode == 1
    assert f"git: HEAD is not tagged v{VERSION}" in refused.stdout
    assert "Dockerfile: python:3.11-slim has no digest" in refused.stdout
    assert not (tree / "dist").exists()


def test_what_is_built_twice_is_the_same_and_its_notes_say_what_changed(tree: Path, tmp_path: Path):
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    seen = tmp_path / "seen.txt"
    path = f"{tmp_path}:{os.environ['PATH']}"
    made = release(tree, "--draft", "--image", PATH=path, SEEN=str(seen))
    assert made.returncode == 0, made.stdout + made.stderr
    dist = {each.name: each for each in (tree / "dist").iterdir()}
    assert set(dist) == {
        f"b12_cds-{VERSION}.tar.gz", f"b12_cds-{VERSION}-py3-none-any.whl", f"b12-cds-{VERSION}.cdx.json",
        "SHA256SUMS", "RELEASE.md",
    }  # fmt: skip
    for line in dist["SHA256SUMS"].read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(dist[name].read_bytes()).hexdigest() == digest
        assert digest in dist["RELEASE.md"].read_text()
    commit = git(tree, "rev-parse", "HEAD")
    assert commit in dist["RELEASE.md"].read_text()
    assert f"org.opencontainers.image.revision={commit}" in seen.read_text()
    assert f"org.opencontainers.image.version={VERSION}" in seen.read_text()


def test_what_is_not_the_same_twice_is_named():
    code = "import release; print(release.differences({'a': b'1', 'b': b'2'}, {'a': b'1', 'b': b'3', 'c': b''}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "deploy", capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['b', 'c']"
