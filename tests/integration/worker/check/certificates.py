"""Authorities, certificates that they issue, and TLS servers in front of a Redis that speaks none."""

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

from tests import tls

HOST = "127.0.0.1"


class Issued(NamedTuple):
    """A server's certificate and key, and the certificate of the authority that issued it, as PEM files."""

    certificate: Path
    key: Path
    authority: Path


def issue(
    folder: Path,
    *,
    days: float = 90,
    authority_days: float = 3_650,
    host: str = HOST,
    begins: float = 1,
    may_sign: bool = True,
) -> Issued:
    """A certificate of an authority of its own.

    Args:
        begins: how many days ago both began.
        may_sign: the authority's certificate says that its key may sign others, which Python requires since 3.13.
    """
    folder.mkdir(exist_ok=True)
    signer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _builder("authority", "authority", signer, authority_days, begins)
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    uses = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False)  # fmt: skip
    if may_sign:
        root = root.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **uses), critical=True)
    leaf = _builder(host, "authority", key, days, begins)
    name: x509.GeneralName = x509.DNSName(host)
    if host[0].isdigit():
        name = x509.IPAddress(ipaddress.ip_address(host))
    leaf = leaf.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    signer_id = x509.SubjectKeyIdentifier.from_public_key(signer.public_key())
    root = root.add_extension(signer_id, critical=False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer_id), critical=False)
    issued = Issued(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    issued.authority.write_bytes(root.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    issued.certificate.write_bytes(leaf.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    issued.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return issued


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, days: float, begins: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=days, minutes=5))
    )


@contextmanager
def encrypted(redis_url: str, issued: Issued, *, wants_certificate: bool = False) -> Iterator[int]:
    """The port of a TLS server with that certificate in front of a Redis."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(issued.authority)
    target = HOST, int(redis_url.rpartition(":")[2].partition("/")[0])
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=tls._accept, args=(listener, context, target), daemon=True).start()
        yield listener.getsockname()[1]
