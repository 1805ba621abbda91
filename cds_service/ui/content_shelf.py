"""The contents that the pages can show: the service's own, its clients' sites, and the example that is shipped."""

from __future__ import annotations

from collections.abc import Mapping

from cds_service.content.content import Content, load_content
from cds_service.content.files import shipped_folder

EXAMPLE, EXAMPLE_FOLDER = "example", "ruh-bath"


class Shelf:
    """Contents by name. What is only asked for here, ours without a site and the example, is loaded when asked for."""

    def __init__(self, contents: Mapping[str, Content]):
        self._contents = dict(contents)
        self._ours: Content | None = None

    def names(self) -> tuple[str, ...]:
        """Every name that can be asked for; "" is the service's own content."""
        return tuple(dict.fromkeys((*self._contents, EXAMPLE)))

    def content(self, name: str) -> Content | None:
        """The content of that name, or None if there is none."""
        if name == EXAMPLE and EXAMPLE not in self._contents:
            folder = shipped_folder("fixtures", holding="sites") / "sites" / EXAMPLE_FOLDER
            self._contents[EXAMPLE] = load_content(self._contents[""].folder, folder)
        return self._contents.get(name)

    def ours(self) -> Content:
        """Our content without any site."""
        if self._ours is None:
            plain = self._contents[""]
            self._ours = load_content(plain.folder) if plain.site.folder else plain
        return self._ours
