"""The maintainer's script that pins images: tried with a stand-in for Docker, since no registry is asked here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.manifests import DEPLOY

DIGEST = "sha256:" + "ab" * 32
DOCKER = f"""#!/bin/sh
case "$1" in
  buildx) case "$4$NO_HAPI" in *absent) echo "not found" >&2; exit 1 ;; esac; echo {DIGEST} ;;
  run) echo "libc6 2.36" ;;
esac
"""


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    """A copy of deploy/, and a program named docker."""
    copied = tmp_path / "deploy"
    shutil.copytree(DEPLOY, copied, ignore=shutil.ignore_patterns("target", "secrets", "clients", "__pycache__"))
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    return copied


def run(deploy: Path, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    named = {**os.environ, "PATH": f"{deploy.parent / 'bin'}:{os.environ['PATH']}", **changed}
    command = [sys.executable, str(deploy / "pin_images.py"), *arguments]
    return subprocess.run(command, env=named, capture_output=True, text=True, timeout=60)


def test_a_release_is_refused_until_every_image_has_its_digest(deploy):
    refused = run(deploy, "--check")
    assert refused.returncode == 1
    assert "Dockerfile: python:3.11-slim has no digest" in refused.stdout
    assert "compose.yaml: postgres:15 has no digest" in refused.stdout
    assert "image-packages.txt" in refused.stdout
    assert run(deploy).returncode == 0
    assert run(deploy, "--check").returncode == 0
    assert f"FROM python:3.11-slim@{DIGEST} AS build" in (deploy / "Dockerfile").read_text()
    assert "image: b12-cds\n" in (deploy / "compose.yaml").read_text(), "ours is what is built"
    assert (deploy / "image-packages.txt").read_text() == "libc6 2.36\n"
    before = (deploy / "compose.yaml").read_text()
    assert run(deploy).returncode == 0
    assert (deploy / "compose.yaml").read_text() == before, "a second time changes nothing"


def test_a_digest_that_cannot_be_had_is_not_made_up(deploy):
    before = {each.name: each.read_bytes() for each in deploy.glob("*") if each.is_file()}
    failed = run(deploy, NO_HAPI="absent")
    assert (failed.returncode, failed.stdout) == (1, "hapiproject/hapi:v8.8.0-1: no digest: not found\n")
    assert {each.name: each.read_bytes() for each in deploy.glob("*") if each.is_file()} == before
