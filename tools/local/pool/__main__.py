"""``python -m tools.local.pool``: serve the local user pool on a port of this machine, until SIGTERM."""

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import click

from tools.local.pool.clients import Directory
from tools.local.pool.endpoints import Pool
from tools.local.pool.messages import Reply, Request
from tools.local.pool.page_addresses import PageAddresses
from tools.local.pool.sessions import Sessions
from tools.local.pool.tokens import TOKEN_SECONDS, Minter, SigningKey
from tools.local.ports import HOST

#: No form here is longer, and a token has about 1,100 bytes.
MAX_BODY_BYTES = 65_536
IDLE_SECONDS = 30.0


class Server(ThreadingHTTPServer):
    """The HTTP server of a pool."""

    daemon_threads = True
    request_queue_size = 128
    pool: Pool


class Handler(BaseHTTPRequestHandler):
    """One connection. Queries and bodies are not logged: they hold codes and tokens."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server_version, sys_version = "pool", ""

    def do_GET(self) -> None:
        self._answer("")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self.send_error(413 if length.isdecimal() else 411)
            return
        self._answer(self.rfile.read(int(length)).decode("utf-8", "replace"))

    def _answer(self, body: str) -> None:
        target = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.pool.answer(Request(self.command, target.path, target.query, headers, body))
        print(self.command, target.path[:80], reply.status)
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--seed", required=True, help="The same seed gives the same ids.")
@click.option(
    "--token-seconds",
    envvar="LOCAL_TOKEN_SECONDS",
    type=click.IntRange(1, 86_400),
    default=TOKEN_SECONDS,
    help="Life of access and id tokens.",
)
def main(port: int, folder: Path, seed: str, token_seconds: int) -> None:
    """Serve the pool; its key and its sessions are kept in the folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    endpoint = f"http://{HOST}:{port}"
    directory = Directory.of(seed, PageAddresses(folder))
    key = SigningKey.kept_in(folder / "key.pem")
    minter = Minter(key, directory, f"{endpoint}/{directory.pool_id}", seconds=token_seconds)
    server = Server((HOST, port), Handler)
    server.pool = Pool(endpoint, directory, Sessions(folder / "sessions.json"), minter, key)
    print(f"serving {server.pool.issuer}")
    server.serve_forever()


if __name__ == "__main__":
    main()
