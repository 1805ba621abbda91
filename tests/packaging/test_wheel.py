"""The wheel carries every card, the demo's patients and nothing else, and runs from an empty directory."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import cds_service

ROOT = Path(__file__).resolve().parents[2]
AT_MOST = 300.0  # seconds for one command
PROGRAM = Path(sys.executable).parent / "b12-cds"
# what lies at the top and is shipped inside the package
SHIPPED = ("cards", "fixtures/patients", "fixtures/sites")
SINGLE = ("docs/protocol-checklist.md", "fixtures/demographics.json")
VIGNETTES = "cds_service/fixtures/vignettes.zip"


def contents(folder: Path) -> dict[str, str]:
    """Path below the folder -> digest of the file, without what Python caches."""
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(folder).as_posix(): digest(file.read_bytes()) for file in files}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def should_be_packaged() -> dict[str, str]:
    """What the package must hold, by the checkout."""
    expected = contents(ROOT / "cds_service")
    for folder in SHIPPED:
        expected |= {f"{folder}/{name}": value for name, value in contents(ROOT / folder).items()}
    return expected | {name: digest((ROOT / name).read_bytes()) for name in SINGLE}


@pytest.fixture(scope="module")
def wheel_of_sdist(tmp_path_factory) -> dict[str, str]:
    """Built as a packager does it: first the sdist, then the wheel from what the sdist holds."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, cwd=out, timeout=AT_MOST)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        with zipfile.ZipFile(io.BytesIO(archive.read(VIGNETTES))) as packed:
            vignettes = {f"{VIGNETTES}/{name}": digest(packed.read(name)) for name in packed.namelist()}
        return vignettes | {name: digest(archive.read(name)) for name in archive.namelist() if name != VIGNETTES}


def test_every_card_is_in_the_wheel(wheel_of_sdist):
    expected = {f"cds_service/{name}": value for name, value in should_be_packaged().items()}
    expected |= {f"{VIGNETTES}/{name}": value for name, value in contents(ROOT / "fixtures/vignettes").items()}
    shipped = {name: value for name, value in wheel_of_sdist.items() if ".dist-info/" not in name}
    assert shipped == expected


def test_the_wheel_installs_one_top_level_package(wheel_of_sdist):
    assert {name.split("/")[0].split("-")[0] for name in wheel_of_sdist} == {"cds_service", "b12_cds"}


@pytest.mark.needs("wheel")
def test_what_is_tested_is_the_wheel_of_this_checkout():
    installed = contents(Path(cds_service.__file__).parent)
    assert installed.pop("fixtures/vignettes.zip")
    assert installed == should_be_packaged()


@pytest.mark.parametrize("folder", ["cards", "docs", "fixtures"])
def test_no_second_copy_lies_in_the_checkout(folder):
    assert not (ROOT / "cds_service" / folder).exists()


@pytest.mark.needs("wheel")
def test_the_version_is_told_once():
    assert version("b12-cds") == cds_service.__version__


@pytest.mark.needs("wheel")
def test_the_service_checks_its_content_from_an_empty_directory(tmp_path):
    done = subprocess.run([PROGRAM, "check"], cwd=tmp_path, capture_output=True, text=True, timeout=AT_MOST)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_checkout_that_is_not_installed_finds_its_cards(tmp_path):
    code = "from cds_service.content.files import cards_folder; print(cards_folder())"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=AT_MOST)
    assert done.stdout.strip() == str(ROOT / "cards")
