"""Surroundings of an instance: the metadata service with its role, and AWS's bucket with Session Manager's agent."""

import datetime
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.tls import write_certificate

#: An address that nothing else on this machine uses; port 443 of it belongs to the bucket.
BUCKET_ADDRESS = "127.77.36.9"
_ROLE = "lambda-router-prod-valkey"


class Metadata(http.server.BaseHTTPRequestHandler):
    """Version 2 of the metadata service, as far as credentials go; no token, no answer.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    """

    def do_PUT(self) -> None:
        self._send("a-token" if self.path == "/latest/api/token" else None)

    def do_GET(self) -> None:
        roles = "/latest/meta-data/iam/security-credentials/"
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=6)
        credentials = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIAOFTHEINSTANCE",
            "SecretAccessKey": "secret",
            "Token": "session",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "LastUpdated": "2026-01-01T00:00:00Z",
        }
        known = {roles: _ROLE, roles + _ROLE: json.dumps(credentials)}
        has_token = self.headers.get("X-aws-ec2-metadata-token") == "a-token"
        self._send(known.get(self.path) if has_token else None)

    def _send(self, text: str | None) -> None:
        self.send_response(404 if text is None else 200)
        self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


class Bucket(http.server.BaseHTTPRequestHandler):
    """The files of the agent's bucket, by their path."""

    files: ClassVar[dict[str, Path]] = {}

    def do_GET(self) -> None:
        path = self.files.get(self.path)
        content = path.read_bytes() if path else b""
        self.send_response(200 if path else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def metadata() -> Iterator[str]:
    """The service's URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server, _serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def bucket(folder: Path, host: str, files: dict[str, Path]) -> Iterator[Path]:
    """The file with the authority of its certificate, which is its own."""
    certificate, key = write_certificate(folder, host)
    Bucket.files.clear()
    Bucket.files.update(files)
    with http.server.ThreadingHTTPServer((BUCKET_ADDRESS, 443), Bucket) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with _serving(server):
            yield certificate


@contextmanager
def _serving(server: http.server.ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def agent_package(folder: Path, version: str, name: str = "amazon-ssm-agent") -> Path:
    """A package of the agent's name, with a unit and nothing to run."""
    root = folder / f"{name}-{version}"
    unit = root / "lib/systemd/system/amazon-ssm-agent.service"
    for path, text in {
        root / "DEBIAN/control": (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Tests <tests@example.com>\n"
            "Description: Stand-in\n"
        ),
        unit: "[Service]\nType=simple\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    package = folder / f"{name}-{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, package], check=True, capture_output=True)
    return package
