"""Checks of TLS: what the port speaks, who vouches for the server, and for how many days."""

import asyncio
import math
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from lambda_router_queue.redis import wire
from lambda_router_queue.redis.troubles import Trouble
from lambda_router_queue.redis.url import TLS
from lambda_router_worker.checking.box import Box
from lambda_router_worker.checking.findings import Finding, in_short, well, wrong
from lambda_router_worker.checking.first_reply import REDIS, SILENCE, first_reply, opened

#: A certificate should be renewed by then. Certbot renews when 30 days are left, and the instance of
#: ``terraform/modules/valkey`` when 15 are.
LEAST_DAYS = 14

type _Connected = AbstractAsyncContextManager[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

_WHY = "the worker cannot connect to its queue"
_NAME_AUTHORITY = (
    "REDIS_URL=rediss://…?ssl_ca_certs=FILE, where FILE holds the server's authority as PEM. That of"
    " terraform/modules/valkey: aws ssm get-parameter --name /<app>/<stage>/redis-authority"
    " --query Parameter.Value --output text > FILE"
)
_TROUBLES: Mapping[str, Trouble] = {
    wire.HTTP: Trouble.HTTP,
    wire.NO_REDIS: Trouble.NO_REDIS,
    wire.SILENT_END: Trouble.HUNG_UP,
    wire.TLS_ALERT: Trouble.TLS,
    SILENCE: Trouble.LATE,
    wire.CERTIFICATE_WANTED: Trouble.CLIENT_CERTIFICATE,
}

#: OpenSSL's results of a verification (``man 3 X509_STORE_CTX_get_error``).
_NOT_YET, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})


async def tls(box: Box) -> Finding:
    """Check that the port speaks what the URL says, and that the certificate is trusted for the host."""
    box.certificate, box.authorities = {}, []
    return await (_encrypted(box, box.address.tls) if box.address.tls else _plain(box))


def _connected(box: Box, context: ssl.SSLContext | None = None) -> _Connected:
    return opened(box.ip, box.address.port, box.step_seconds / 2, context, box.address.host)


async def _plain(box: Box) -> Finding:
    async with _connected(box) as streams:
        said = await first_reply(*streams, box.step_seconds / 2)
    if said == REDIS:
        return well("not used, as REDIS_URL says: jobs and password travel unencrypted")
    if said in (wire.TLS_ALERT, wire.SILENT_END, SILENCE) and await _speaks_tls(box):
        return _finding(Trouble.TLS)
    return _finding(_TROUBLES.get(said, Trouble.NO_REDIS))


async def _encrypted(box: Box, rules: TLS) -> Finding:
    try:
        context = rules.context()
    except OSError:
        return _finding(Trouble.AUTHORITY)
    if rules.authority is not None:
        box.authorities = _certificates_in(rules.authority)
    began = time.monotonic()
    try:
        async with _connected(box, context) as streams:
            milliseconds = (time.monotonic() - began) * 1000
            session = streams[1].get_extra_info("ssl_object")
            box.certificate = session.getpeercert() or {}
            said = await first_reply(*streams, box.step_seconds / 2)
    except ssl.SSLCertVerificationError as error:
        return await _distrust(box, rules, error)
    except OSError as error:
        return await _no_handshake(box, error)
    if said == wire.SILENT_END:
        said = await _last_word(box, context)
    if said != REDIS:
        return _finding(_TROUBLES.get(said, Trouble.NO_REDIS))
    checked = f"issued for {box.address.host}" if rules.check_hostname else "for any host (ssl_check_hostname)"
    checked = "not verified (ssl_cert_reqs)" if rules.verify == "none" else checked
    return well(f"{session.version()} in {milliseconds:.1f} ms, certificate {checked}")


async def _last_word(box: Box, context: ssl.SSLContext) -> str:
    """Connect again, only to listen."""
    try:
        async with _connected(box, context) as streams:
            said = await first_reply(*streams, box.step_seconds / 2, ask=False)
    except OSError:
        said = wire.SILENT_END
    return wire.SILENT_END if said == SILENCE else said


async def _no_handshake(box: Box, error: OSError) -> Finding:
    """Find out what listens instead."""
    async with _connected(box) as streams:
        said = await first_reply(*streams, box.step_seconds / 2)
    if said == REDIS:
        return _finding(Trouble.NO_TLS)
    if said == wire.TLS_ALERT:
        found = f"no TLS handshake: {in_short(getattr(error, 'reason', None) or type(error).__name__)}"
        return wrong(found, why=_WHY, fix="compare the server's tls-protocols and tls-ciphers with this machine's")
    return _finding(_TROUBLES.get(said, Trouble.NO_REDIS))


async def _speaks_tls(box: Box) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with _connected(box, context):
            return True
    except OSError:
        return False


async def _distrust(box: Box, rules: TLS, error: ssl.SSLCertVerificationError) -> Finding:
    host, code = box.address.host, error.verify_code
    if code in _OTHER_NAME:
        return await _other_name(box, rules)
    if code in _UNKNOWN_AUTHORITY:
        found = f"the certificate is from an authority that {_trusted_here(rules)}"
        return wrong(found, why=_WHY, fix=_NAME_AUTHORITY)
    if code == _EXPIRED:
        fix = f"renew it on the server; its dates: openssl s_client -connect {host}:{box.address.port} -showcerts"
        return wrong("the certificate, or its authority's, has expired", why=_WHY, fix=fix)
    if code == _NOT_YET:
        return wrong("the certificate is not valid yet", why=_WHY, fix="correct this machine's clock: timedatectl")
    fix = f"issue it again; to read it: openssl s_client -connect {host}:{box.address.port} -showcerts"
    return wrong(f"the certificate is rejected: {in_short(error.verify_message)}", why=_WHY, fix=fix)


def _trusted_here(rules: TLS) -> str:
    return "this machine does not know" if rules.authority is None else f"is not in {rules.authority}"


async def _other_name(box: Box, rules: TLS) -> Finding:
    """Look at the certificate again, with its authority checked and its names not."""
    context = rules.context()
    context.check_hostname = False
    async with _connected(box, context) as (_, writer):
        names = _names(writer.get_extra_info("ssl_object").getpeercert() or {})
    found = f"the certificate is not for {box.address.host}, but for {in_short(', '.join(names) or 'no host')}"
    return wrong(found, why=_WHY, fix="write such a name into REDIS_URL, or issue the certificate for this one")


def _names(certificate: Mapping[str, Any]) -> Iterator[str]:
    for _, name in certificate.get("subjectAltName", ()):
        yield str(name)


def _certificates_in(file: str) -> list[dict[str, Any]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    return context.get_ca_certs()


async def certificate(box: Box) -> Finding:
    """Check that the certificate, and the authority of one's own that issued it, do not end soon."""
    if box.address.tls is None:
        return well("not used: no TLS")
    if not box.certificate:
        return well("not verified (ssl_cert_reqs)")
    dates = {"the certificate": box.certificate}
    for authority in box.authorities:
        if authority.get("subject") == box.certificate.get("issuer"):
            dates["its authority in ssl_ca_certs"] = authority
    ends = {whose: _days_left(each) for whose, each in dates.items()}
    whose = min(ends, key=lambda each: ends[each])
    found = f"{whose} ends in {ends[whose]} days"
    if ends[whose] >= LEAST_DAYS:
        return well(found)
    why = "after that neither worker nor router can connect; something that should have renewed it has not"
    wanted = f"{LEAST_DAYS} or more"
    return wrong(found, wanted=wanted, why=why, fix="renew it on the server, and have it read again (Valkey: restart)")


def _days_left(certificate: Mapping[str, Any]) -> int:
    return math.floor((ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86_400)


def _finding(trouble: Trouble) -> Finding:
    fault, _, fix = trouble.value.partition(": ")
    return wrong(fault, why=_WHY, fix=fix.rstrip("."))
