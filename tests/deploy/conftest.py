"""What the tests of the deployment share: the image, made once by the Dockerfile's own steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.image import Image, context


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    context(folder / "context")
    made = Image(folder / "root")
    made.build(folder / "context")
    # What a service imports is compiled here, once, and not by each of the many commands that are run in it.
    made.run(made.entry("check"), PYTHONDONTWRITEBYTECODE="")
    return made


@pytest.fixture(scope="session")
def environment_of_image(image: Image) -> Path:
    return image.root / "opt" / "b12-cds"
