"""Hatch's build hook: the wheel carries the vignettes as one compressed file; a checkout reads their folder.

The file is the same whoever builds it: names in order, one fixed day, one compression.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKED = "cds_service/fixtures/vignettes.zip"


class PackVignettes(BuildHookInterface):
    """Adds the file to the wheel; an editable install needs none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._made = tempfile.TemporaryDirectory()
        packed = Path(self._made.name) / "vignettes.zip"
        pack(Path(self.root) / "fixtures" / "vignettes", packed)
        build_data["force_include"][str(packed)] = PACKED

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._made.cleanup()


def pack(folder: Path, packed: Path) -> None:
    """Every vignette below the folder, by its path there."""
    with ZipFile(packed, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*.toml")):
            entry = ZipInfo(path.relative_to(folder).as_posix(), date_time=(2026, 1, 1, 0, 0, 0))
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
