"""TLS in front of a server that speaks none: a certificate of our own, and a proxy that terminates it."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Signed(NamedTuple):
    """PEM files: an authority's own certificate, and a certificate that it has signed with its key."""

    authority: Path
    certificate: Path
    key: Path


def write_signed(folder: Path, *names: str) -> Signed:
    """A certificate for these domain names, or else for 127.0.0.1, from an authority of its own.

    It has the extensions that Python demands since 3.13 (``VERIFY_X509_STRICT``).
    """
    own, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, subject = "an authority of the tests", next(iter(names), "127.0.0.1")
    alternative = x509.SubjectAlternativeName(
        [x509.DNSName(each) for each in names] or [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    usage = dict.fromkeys(_USAGES, False)
    authority = _unsigned(issuer, issuer, own, own).add_extension(
        x509.KeyUsage(**usage | {"key_cert_sign": True, "crl_sign": True}), critical=True
    )
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    server = _unsigned(subject, issuer, key, own).add_extension(alternative, critical=False)
    signed = Signed(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    for path, certificate in ((signed.authority, authority), (signed.certificate, server)):
        path.write_bytes(certificate.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    _write_key(key, signed.key)
    return signed


_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def _unsigned(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    return (
        x509.CertificateBuilder(*reversed(names))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


def write_certificate(folder: Path, *names: str, is_authority: bool = True, days: int = 1) -> tuple[Path, Path]:
    """A self-signed certificate for these domain names, or else for 127.0.0.1, and its key, as PEM files.

    Args:
        is_authority: whether it may sign others. Clients in Rust take no server's certificate that may.
    """
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
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(key, paths[1])
    return paths


def _write_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form))


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
