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

HOST = "127.0.0.1"


class Signed(NamedTuple):
    """PEM files: an authority's own certificate, and a server's that it has signed, with the server's key."""

    authority: Path
    certificate: Path
    key: Path


def write_signed(
    folder: Path,
    *,
    host: str = HOST,
    days: float = 90,
    authority_days: float = 3_650,
    begins: float = 1,
    may_sign: bool = True,
) -> Signed:
    """A certificate for this host from an authority of its own, with the extensions that Python wants since 3.13.

    Args:
        begins: how many days ago both began.
        may_sign: whether the authority's certificate says that its key may sign others (``VERIFY_X509_STRICT``).
    """
    folder.mkdir(exist_ok=True)
    own, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _unsigned("an authority of the tests", own, own, authority_days, begins)
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    if may_sign:
        authority = authority.add_extension(_SIGNS_OTHERS, critical=True)
    server = _unsigned(host, key, own, days, begins).add_extension(_names(host), critical=False)
    signed = Signed(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    for path, certificate in ((signed.authority, authority), (signed.certificate, server)):
        path.write_bytes(certificate.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    _write_key(key, signed.key)
    return signed


_SIGNS_OTHERS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


def _names(*hosts: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(list(map(_name, hosts)))


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _unsigned(
    subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, days: float, begins: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of the tests")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=days, minutes=5))  # so that it is that many whole days
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


def write_certificate(folder: Path, *names: str, is_authority: bool = True, days: int = 1) -> tuple[Path, Path]:
    """A self-signed certificate for these domain names, or else for 127.0.0.1, and its key, as PEM files.

    Args:
        is_authority: whether it may sign others. Clients in Rust take no server's certificate that may.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    names = names or (HOST,)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(_names(*names), critical=False)
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
def terminating_proxy(
    target: tuple[str, int], certificate: Path, key: Path, *, clients_authority: Path | None = None
) -> Iterator[int]:
    """The port of a TLS server that passes everything on to ``target`` in clear.

    Args:
        clients_authority: the authority whose certificate it wants from its clients; None: it wants none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_authority)
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, target), daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def encrypted(redis_url: str, signed: Signed, *, wants_certificate: bool = False) -> Iterator[int]:
    """The port of a TLS server with that certificate in front of a Redis."""
    target = HOST, int(redis_url.rpartition(":")[2].partition("/")[0])
    clients_authority = signed.authority if wants_certificate else None
    with terminating_proxy(target, signed.certificate, signed.key, clients_authority=clients_authority) as port:
        yield port


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
