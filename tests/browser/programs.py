"""The browsers that the tests of the pages take: the first of these that is on the path, never one that is downloaded.

Debian's headless shell is the same Chromium without the windows of a browser around it; it takes a third less time.
"""

from __future__ import annotations

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
