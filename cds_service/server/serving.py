"""`b12-cds serve`, once its sockets listen: the metrics' process, the application, gunicorn, in this order.

The order matters: whether several processes count together is decided when the metrics library is imported.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from ..settings import Settings, SettingsError
from ..store.opening import CannotOpen, bring_up_to_date
from .metrics_server import forget, measured


def answer_calls(
    settings: Settings, calls: socket.socket, asked: socket.socket | None, ready: Callable[[], None]
) -> None:
    """Answer calls on one socket and, if there is another, who asks for metrics on that; until a signal.

    SettingsError or ContentError say why it cannot start.
    """
    upgrade_store(settings)
    with measured(asked):
        from ..app import create_app
        from ..web.observing import BEGIN, END
        from .server import Moments, Server

        app = create_app(settings)
        moments = Moments(ready=ready, begin=app.extensions[BEGIN], end=app.extensions[END], gone=forget)
        Server(app, calls, moments, workers=settings.workers).run()


def upgrade_store(settings: Settings) -> None:
    """The tables of a SQLite file as this version needs them; a demo without a URL has none yet."""
    try:
        if settings.store_url or not settings.demo:
            bring_up_to_date(settings.store_url)
    except CannotOpen as error:
        raise SettingsError(str(error)) from None
