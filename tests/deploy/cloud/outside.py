"""What the workflows meet beyond AWS's own API, behind an HTTPS proxy: the deployed API, Cognito's tokens, OSV, a
package index.

So a program asks ``https://….execute-api.eu-central-1.amazonaws.com/api`` as it would anywhere, finds a certificate
that it may trust, and reaches the function. Hosts that nobody plays are reached themselves.
"""

import base64
import json
import os
import socket
import socketserver
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import certifi

from tests.deploy.cloud.inventory import REGION
from tests.tls import pass_on, serve, write_certificate

API = f"execute-api.{REGION}.amazonaws.com"
COGNITO = f"router.auth.{REGION}.amazoncognito.com"
OSV = "api.osv.dev"
INDEX = "upload.index.example"

type Address = tuple[str, int]


def address(url: str) -> Address:
    """Host and port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


@contextmanager
def outside(folder: Path, played: Mapping[str, Address]) -> Iterator[dict[str, str]]:
    """Variables of a process that goes out by the proxy, and trusts it.

    Args:
        folder: where the certificate is written.
        played: who answers in clear, by the end of the host's name.
    """
    certificate, key = write_certificate(folder, f"*.{API}", COGNITO, OSV, INDEX, is_authority=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    bundle = folder / "trusted.pem"
    known = os.environ.get("SSL_CERT_FILE") or certifi.where()  # noqa: TID251  as the programs would
    bundle.write_bytes(Path(known).read_bytes() + certificate.read_bytes())
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(context, played)) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield {
            "HTTPS_PROXY": f"http://127.0.0.1:{server.server_address[1]}",
            "NO_PROXY": "127.0.0.1,localhost",
            "SSL_CERT_FILE": str(bundle),
            "REQUESTS_CA_BUNDLE": str(bundle),
        }
        server.shutdown()


def _handler(context: ssl.SSLContext, played: Mapping[str, Address]) -> type[socketserver.BaseRequestHandler]:
    class Connect(socketserver.BaseRequestHandler):
        """RFC 9110, section 9.3.6."""

        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += self.request.recv(1)
            host, _, port = head.split()[1].decode().rpartition(":")
            player = next((at for name, at in played.items() if host.endswith(name)), None)
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            if player is not None:
                serve(self.request, context, player)
            else:
                _pass_through(self.request, (host, int(port)))

    return Connect


def _pass_through(near: socket.socket, where: Address) -> None:
    with socket.create_connection(where) as far:
        pass_on(near, far)


@contextmanager
def token_endpoint(client: str, secret: str, token: Callable[[], str]) -> Iterator[Address]:
    """Cognito's, for one app client: https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html"""
    wanted = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            asked = (self.path, self.headers["Authorization"], form["grant_type"])
            good = asked == ("/oauth2/token", wanted, ["client_credentials"])
            body = json.dumps({"access_token": token()} if good else {"error": "invalid_client"}).encode()
            self.send_response(200 if good else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield "127.0.0.1", server.server_port
        server.shutdown()
