"""The HTTP server of ``make run`` inside the test's process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tools.local.asgi import READ_TIMEOUT_SECONDS, AnswersRequests, GatewayApp
from tools.local.server import DRAIN_SECONDS, http_server, listen


@contextmanager
def serving(
    gateway: AnswersRequests, *, read_seconds: float = READ_TIMEOUT_SECONDS, drain_seconds: int = DRAIN_SECONDS
) -> Iterator[int]:
    """The port at which a gateway answers meanwhile."""
    listener = listen(0)
    port: int = listener.getsockname()[1]
    server = http_server(GatewayApp(gateway, read_seconds), drain_seconds)
    thread = threading.Thread(target=server.run, args=[[listener]], daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(10)
