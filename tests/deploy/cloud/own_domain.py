"""A custom domain on this machine: HTTPS to its name reaches the front door, and nothing is changed outside the test.

What is asked of a name goes by HTTPS_PROXY to a proxy here, which leads all of it to the front door behind TLS.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tls import pass_on, terminating_proxy, write_certificate


@contextmanager
def served(folder: Path, name: str, port: int) -> Iterator[dict[str, str]]:
    """Variables with which a program finds the domain, and trusts its certificate.

    Args:
        port: that the front door listens at.
    """
    certificate, key = write_certificate(folder, name)
    with (
        terminating_proxy(("127.0.0.1", port), certificate, key) as behind_tls,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        threading.Thread(target=_accept, args=(listener, name, behind_tls), daemon=True).start()
        yield {
            "HTTPS_PROXY": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "SSL_CERT_FILE": str(certificate),
        }


def _accept(listener: socket.socket, name: str, port: int) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return  # closed: the test is over
        threading.Thread(target=_connect, args=(near, name, port), daemon=True).start()


def _connect(near: socket.socket, name: str, port: int) -> None:
    """Answer one CONNECT (RFC 9110, section 9.3.6); another name than the domain's does not exist."""
    with near:
        asked = b""
        while b"\r\n\r\n" not in asked:
            part = near.recv(65_536)
            if not part:
                return
            asked += part
        if not asked.startswith(f"CONNECT {name}:443 ".encode()):
            near.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        near.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as far:
            pass_on(near, far)
