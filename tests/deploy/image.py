"""The Dockerfile, carried out without an engine: its own words, step by step, under a folder that stands for the root.

Only the words that our Dockerfile uses are known; another one is an error here, and not a step left out.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shlex
import shutil
import subprocess
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORED = ROOT / "deploy" / "Dockerfile.dockerignore"
AT_MOST = 500.0  # seconds for one step, which may install packages
SAID = ("LABEL", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")  # what an image says of itself


@dataclass
class Stage:
    """What one FROM begins."""

    base: str
    steps: list[tuple[str, str]]

    def said(self, word: str) -> str:
        """What the last instruction of that word says."""
        return [rest for each, rest in self.steps if each == word][-1]


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile: no continued lines, no heredocs, no variables in use."""
    found: list[Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            found.append(Stage(rest.split()[0], []))
        else:
            found[-1].steps.append((word, rest))
    return found


def context(target: Path) -> None:
    """What the builder would be given: the checkout without what the ignore file keeps back."""
    rules = [line for line in IGNORED.read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "everything is kept back, but for what is named"
    unwanted = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    for name in (rule[1:] for rule in rules if rule.startswith("!")):
        source = ROOT / name
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns(*unwanted))
        else:
            assert not any(fnmatch.fnmatch(source.name, rule) for rule in unwanted)
            shutil.copy(source, target / name)


def base_python(folder: Path) -> None:
    """What stands for the base image's Python: an environment with this one's pip and nothing else."""
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    pip = distribution("pip")
    for name in {file.parts[0] for file in pip.files or () if file.parts[0] != ".."}:
        shutil.copytree(str(pip.locate_file(name)), packages / name)


@dataclass
class Image:
    """A folder that stands for an image's root, and what the last stage says of how it is run."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    last: Stage | None = None

    def real(self, text: str) -> str:
        """A path of the image as this machine has it; anything else unchanged."""
        return f"{self.root}{text}" if text.startswith(("/opt", "/build", "/run/b12-cds")) else text

    def build(self, given: Path) -> None:
        base_python(self.root / "base")
        for self.last in stages(DOCKERFILE.read_text()):
            assert self.last.base == "python:3.11-slim"
            self.environment, self.folder = {}, "/"
            for word, rest in self.last.steps:
                self.step(word, rest, given)

    def step(self, word: str, rest: str, given: Path) -> None:
        if word == "ENV":
            self.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "WORKDIR":
            self.folder = rest
            Path(self.real(rest)).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            self.copy(rest.split(), given)
        elif word == "RUN":
            self.run(json.loads(rest), check=True)  # the exec form: no shell comes between
        else:
            assert word in SAID, f"{word} is not known here"

    def copy(self, words: list[str], given: Path) -> None:
        if words[0] == "--from=build":
            assert words[1] == words[2], "an environment cannot be moved"
            assert Path(self.real(words[1])).is_dir()
            return
        *sources, target = words
        where = Path(self.real(self.folder)) / target
        if target.endswith("/"):
            where.mkdir(parents=True, exist_ok=True)
        for source in (given / name for name in sources):
            if source.is_dir():
                shutil.copytree(source, where)
            else:
                shutil.copy(source, where)

    def variables(self) -> dict[str, str]:
        """The environment of a process in the image: nothing of ours but how packages are found."""
        plain = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
        plain |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        named = {name: self.real(value) for name, value in self.environment.items() if name != "PATH"}
        plain |= {"PIP_NO_COMPILE": "no"}  # how pip is told: what is never imported need not be compiled
        return plain | named | {"PATH": f"{self.root}/base/bin:/usr/bin:/bin", "HOME": str(self.root / "nobody")}

    def command(self, words: list[str]) -> list[str]:
        return [self.real(word) for word in words]

    def run(self, words: list[str], check: bool = False, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the image's folder with the image's environment."""
        done = subprocess.run(
            self.command(words),
            cwd=self.real(self.folder),
            env=self.variables() | changed,
            capture_output=True,
            text=True,
            timeout=AT_MOST,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        return done

    def entry(self, *arguments: str) -> list[str]:
        """The command that `docker run IMAGE ARGUMENTS` starts."""
        given = list(arguments) or json.loads(self.last.said("CMD"))
        return [*json.loads(self.last.said("ENTRYPOINT")), *given]


def files(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*"):
        if file.is_file():
            yield file.relative_to(folder).as_posix()
