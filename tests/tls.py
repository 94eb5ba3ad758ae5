"""TLS in front of a server that speaks none: a certificate of our own, and a proxy that terminates it."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A self-signed certificate for these domain names, or else for 127.0.0.1, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, next(iter(names), "127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    wanted = [x509.DNSName(each) for each in names] or [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@contextmanager
def terminating_proxy(target: tuple[str, int], certificate: Path, key: Path) -> Iterator[int]:
    """The port of a TLS server that passes everything on to ``target`` in clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, target), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, context: ssl.SSLContext, target: tuple[str, int]) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return  # closed: the test is over
        threading.Thread(target=serve, args=(plain, context, target), daemon=True).start()


def serve(plain: socket.socket, context: ssl.SSLContext, target: tuple[str, int]) -> None:
    """Speak TLS with whoever is connected, and pass it on to ``target`` in clear."""
    try:
        with context.wrap_socket(plain, server_side=True) as near, socket.create_connection(target) as far:
            pass_on(near, far)
    except OSError:
        return  # a client that does not trust the certificate hangs up


def pass_on(near: socket.socket, far: socket.socket) -> None:
    """What comes from either side goes to the other, until both have ended."""
    answers = threading.Thread(target=_pump, args=(far, near), daemon=True)
    answers.start()
    _pump(near, far)
    answers.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
