"""Pins every image that deploy/ names by its digest, and writes down what is in the service's own image.

For a maintainer, with Docker and a way to the registries. `python deploy/pin_images.py` asks Docker for the digests and
writes them behind the tags (`python:3.11-slim@sha256:...`), then builds the image and lists its packages in
deploy/image-packages.txt. `--check` changes nothing and fails, image by image, where one is not pinned: with it every
release begins. Digests are asked for and never made up, so a checkout whose maintainer had no registry names tags only.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent
ROOT = DEPLOY.parent
OURS = "b12-cds"
NAMED = re.compile(
    r"^(?P<before>FROM |\s+image: )(?P<image>[a-z0-9][\w./-]*:[\w.-]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?(?=\s|$)",
    re.MULTILINE,
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PACKAGES = DEPLOY / "image-packages.txt"
LIST = ("dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n")


class CannotPin(Exception):
    """One line: which image, and what was wrong."""


def files(deploy: Path) -> list[Path]:
    """Where images are named."""
    return [deploy / "Dockerfile", deploy / "compose.yaml"]


def named(deploy: Path) -> Iterator[tuple[Path, str, str]]:
    """Every image of somebody else that is named: where, its name with its tag, its digest ("" for none)."""
    for file in files(deploy):
        for found in NAMED.finditer(file.read_text()):
            if found["image"].partition(":")[0] != OURS:
                yield file, found["image"], found["digest"] or ""


def digest_of(image: str) -> str:
    """The digest that the registry has for a tag just now."""
    asked = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    done = subprocess.run(asked, capture_output=True, text=True)
    told = done.stdout.strip()
    if done.returncode or not DIGEST.fullmatch(told):
        raise CannotPin(f"{image}: no digest: {done.stderr.strip()[-200:] or told[:100] or 'nothing was said'}")
    return told


def pin(deploy: Path) -> None:
    """Write the digest behind every tag."""
    digests = {image: digest_of(image) for image in sorted({image for _, image, _ in named(deploy)})}
    for file in files(deploy):
        text = file.read_text()
        pinned = NAMED.sub(lambda m: m["before"] + with_digest(m["image"], digests), text)
        if pinned != text:
            file.write_text(pinned)


def with_digest(image: str, digests: dict[str, str]) -> str:
    return f"{image}@{digests[image]}" if image in digests else image


def list_packages(root: Path, packages: Path) -> None:
    """Build the image, and write down what its system consists of; Python's packages are in sbom.cdx.json."""
    subprocess.run(["docker", "build", "-f", "deploy/Dockerfile", "-t", OURS, "."], cwd=root, check=True)
    asked = ["docker", "run", "--rm", "--entrypoint", LIST[0], OURS, *LIST[1:]]
    packages.write_text(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


def unpinned(deploy: Path, packages: Path) -> list[str]:
    """What a release refuses, a line each."""
    found = [f"{file.name}: {image} has no digest" for file, image, digest in named(deploy) if not digest]
    return found + ([] if packages.is_file() else [f"{packages.name}: nobody has listed what is in the image"])


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        faults = unpinned(DEPLOY, PACKAGES)
        print("\n".join(faults) or "every image is pinned")
        return bool(faults)
    if arguments:
        print(__doc__)
        return 2
    try:
        pin(DEPLOY)
    except CannotPin as error:
        print(error)
        return 1
    list_packages(ROOT, PACKAGES)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
