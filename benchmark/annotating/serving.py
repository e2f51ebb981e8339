"""The page on its port, and the thread that learns behind it."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmark.annotating.app import Opened, create_app
from benchmark.annotating.keys import Keys
from benchmark.annotating.opening import KEYS
from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from benchmark.annotating.opening import Annotated

HOST = "127.0.0.1"
"""Never another: whoever reaches the page can answer in the expert's name."""
GRACE = 2
"""Seconds that open requests have when the page closes."""
LAST_ROUND = 30.0
"""Seconds for which a round that is being learnt is waited for when the program ends."""


def serve(annotated: Annotated, listening: socket.socket, ready: Callable[[str], None]) -> bool:
    """Show the page until the session ends; True then. `ready` is told its address.

    Raises `KeyboardInterrupt` when it is left with Ctrl-C: the session goes on another day.
    """
    import uvicorn

    session, token = annotated.session, secrets.token_urlsafe(24)
    port = int(listening.getsockname()[1])
    server: uvicorn.Server

    def ended() -> None:
        server.should_exit = True

    keys = Keys(annotated.folder / KEYS, [name for _, name in session.steps.choices])
    opened = Opened(session, annotated.slide, annotated.job.spec.learner, keys, annotated.export, ended)
    app = create_app(opened, port=port, token=token)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE)
    server = uvicorn.Server(config)
    learning = threading.Thread(target=session.work, name="learning", daemon=True)
    learning.start()
    ready(f"http://{HOST}:{port}/{token}/")
    try:
        server.run(sockets=[listening])
    finally:
        session.close()
        learning.join(LAST_ROUND)
    return session.record.ended


def listen(port: int) -> socket.socket:
    """A socket on the loopback address; port 0 takes any that is free. Raises `ConfigError` for one that is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"cannot listen on {HOST}:{port}: {reason}", fix="drop --port: any free one is taken"
        ) from None
    return listening
