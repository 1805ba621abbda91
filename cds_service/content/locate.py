"""Where the folders that are shipped lie: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from .faults import ContentError


def cards_folder() -> Path:
    """The folder of the clinical content."""
    return shipped_folder("cards", holding="content.toml")


def shipped_folder(name: str, holding: str = "") -> Path:
    """The packaged copy of a top-level folder ("cards", "fixtures"), or else the sibling in the checkout.

    `holding` is a file that must be in it: an empty folder of that name is not the one.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / name, package.parent / name):
        if (folder / holding).exists():
            return folder
    wanted = f"folder {name!r}" + (f" with {holding} in it" if holding else "")
    raise ContentError([f"there is no {wanted}, neither inside the package {package.name} nor beside it"])
