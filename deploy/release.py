"""Makes the files of a release and checks that they may be one. Nothing is published: what is made lies in dist/.

For a maintainer, in a clean checkout of the tag, with the project's test extra: `python deploy/release.py`. It checks
that tag, version, changelog and chart agree and that every image is pinned (deploy/pin_images.py), builds the sdist and
the wheel twice in different places and compares them byte by byte, and writes the digests, the bill of materials and
the release notes beside them. `--image` builds the image too, with its labels. `--draft` tries all that on what lies
here, tagged or not, and says what a release would still lack.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pin_images

DEPLOY = Path(__file__).resolve().parent
ROOT = DEPLOY.parent
SBOM = DEPLOY / "sbom.cdx.json"
CHART = DEPLOY / "chart" / "Chart.yaml"
TITLE = "B12 CDS"
DRAFT, IMAGE = "--draft", "--image"


class CannotRelease(Exception):
    """What stands in the way, in one line."""


@dataclass(frozen=True)
class Release:
    """What is released: the version, the commit, and the commit's moment, which every built file bears."""

    version: str
    content: str
    commit: str
    moment: int  # seconds since 1970

    @property
    def labels(self) -> dict[str, str]:
        """What the image says of itself beside what its Dockerfile says."""
        return {
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.revision": self.commit,
            "org.opencontainers.image.created": datetime.fromtimestamp(self.moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def found_here() -> Release:
    """What the checkout says it is."""
    code = (ROOT / "cds_service" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "([^"]+)"', code, re.MULTILINE)
    if version is None:
        raise CannotRelease("cds_service/__init__.py: no __version__")
    content = tomllib.loads((ROOT / "cards" / "content.toml").read_text(encoding="utf-8"))["version"]
    return Release(version[1], content, git("rev-parse", "HEAD"), int(git("log", "-1", "--format=%ct")))


def faults(release: Release) -> Iterator[str]:
    """What a release must not have, a line each."""
    tag = f"v{release.version}"
    if tag not in git("tag", "--points-at", "HEAD").splitlines():
        yield f"git: HEAD is not tagged {tag}"
    if changed := git("status", "--porcelain"):
        yield f"git: the checkout is not clean: {changed.splitlines()[0].strip()}"
    for name, version in (("CHANGELOG.md", release.version), ("cards/CHANGELOG.md", release.content)):
        if not section(name, version):
            yield f"{name}: no section for {version}"
    if section("CHANGELOG.md", "Unreleased"):
        yield "CHANGELOG.md: something still stands under Unreleased"
    stated = set(re.findall(r"^(?:version|appVersion): (\S+)$", CHART.read_text(encoding="utf-8"), re.MULTILINE))
    if stated != {release.version}:
        yield f"{CHART.relative_to(ROOT)}: version and appVersion are not {release.version}"
    yield from pin_images.unpinned(DEPLOY, pin_images.PACKAGES)


def section(name: str, version: str) -> str:
    """What a changelog says of a version, without its title; "" for nothing."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.search(rf"^## \[?{re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def build_twice(release: Release, out: Path) -> list[Path]:
    """The sdist and the wheel, which came out the same in two places."""
    built = []
    for place in ("first", "in another folder/second"):
        with tempfile.TemporaryDirectory() as folder:
            built.append(build(release, Path(folder) / place))
    one, two = built
    if unlike := differences(one, two):
        raise CannotRelease(f"built twice, and not the same: {', '.join(unlike)}")
    out.mkdir(parents=True, exist_ok=True)
    for name, content in one.items():
        (out / name).write_bytes(content)
    return [out / name for name in sorted(one)]


def differences(one: dict[str, bytes], two: dict[str, bytes]) -> list[str]:
    """The names of files that are not the same in both, or not in both."""
    return sorted(name for name in {*one, *two} if one.get(name) != two.get(name))


def build(release: Release, tree: Path) -> dict[str, bytes]:
    """The built files, by name, from a copy of what git knows of the checkout."""
    for name in git("ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():  # a file that was just removed is still known
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tree / "made"), str(tree)]
    named = {**os.environ, "SOURCE_DATE_EPOCH": str(release.moment)}
    done = subprocess.run(command, env=named, capture_output=True, text=True)
    if done.returncode:
        raise CannotRelease(f"the build failed: {done.stderr.strip()[-500:]}")
    return {path.name: path.read_bytes() for path in (tree / "made").iterdir()}


def notes(release: Release, digests: str) -> str:
    """The release notes: both changelogs' words, and what lets everybody check what he has."""
    return (
        f"# {TITLE} {release.version}\n\n{section('CHANGELOG.md', release.version)}\n\n"
        f"## The clinical content, {release.content}\n\n{section('cards/CHANGELOG.md', release.content)}\n\n"
        f"An approval holds for one version of the content: approve this one before you use it.\n\n"
        f"## What it is made of\n\nCommit `{release.commit}`. Whoever builds it from there gets the same bytes: "
        f"`python deploy/release.py`.\n\n```text\n{digests}```\n"
    )


def write_beside(release: Release, made: list[Path], out: Path) -> None:
    """The bill of materials, the digests and the notes."""
    bill = out / f"b12-cds-{release.version}.{SBOM.name.removeprefix('sbom.')}"
    shutil.copyfile(SBOM, bill)
    digests = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in [*made, bill])
    (out / "SHA256SUMS").write_text(digests, encoding="utf-8")
    (out / "RELEASE.md").write_text(notes(release, digests), encoding="utf-8")


def build_image(release: Release) -> None:
    labels = [word for name, value in release.labels.items() for word in ("--label", f"{name}={value}")]
    tags = ["--tag", f"{pin_images.OURS}:{release.version}"]
    subprocess.run(["docker", "build", "--file", "deploy/Dockerfile", *tags, *labels, "."], cwd=ROOT, check=True)


def make(arguments: list[str], out: Path) -> int:
    release = found_here()
    lacking = list(faults(release))
    for line in lacking:
        print(line)
    if lacking and DRAFT not in arguments:
        return 1
    shutil.rmtree(out, ignore_errors=True)
    write_beside(release, build_twice(release, out), out)
    if IMAGE in arguments:
        build_image(release)
    print("\n".join(f"{path.relative_to(out.parent)}" for path in sorted(out.iterdir())))
    return 0


def main(arguments: list[str]) -> int:
    if set(arguments) - {DRAFT, IMAGE}:
        print(__doc__)
        return 2
    try:
        return make(arguments, ROOT / "dist")
    except CannotRelease as error:
        print(error)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
