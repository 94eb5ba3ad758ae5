"""Checks of this machine: the handler, the KMS key, the health port."""

import asyncio
import base64
import binascii
import errno
import importlib
import json
import os
import signal
import socket
import sys
from asyncio import subprocess
from collections.abc import Sequence
from contextlib import suppress

from lambda_router_queue import deadlines
from lambda_router_queue.encryption.data_keys import DataKeys, KeyRefused, KeyUnavailable
from lambda_router_queue.encryption.sealing import data_key_of, is_sealed
from lambda_router_worker.checking.box import Box
from lambda_router_worker.checking.findings import Finding, in_short, well, wrong
from lambda_router_worker.checking.waiting import first_documents
from lambda_router_worker.processing.encryption import missing_of_kms

#: A ciphertext that KMS cannot have made. A role that may not use the key is denied whatever the ciphertext.
_MADE_UP = b"lambda-router-worker check"
KMS_SECONDS = 10.0
#: Somebody who left the process's group may keep its pipe open.
_END_SECONDS = 1.0
_REFUSES = "the worker would refuse to start"
_NO_KEY = "encrypted jobs fail with key_unavailable"


async def handler(box: Box) -> Finding:
    """Check that the handler can be imported, in a process of its own: it may load a model, hang or exit."""
    path = str(box.options["handler"])
    command = [sys.executable, "-m", "lambda_router_worker.checking.handler_import", path]
    child = await subprocess.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        said, _ = await child.communicate()
    finally:
        await _end(child)
    fix = "import it by hand, in the folder in which the worker runs; pip install what it lacks"
    try:
        fault = json.loads(said)
    except ValueError:
        return wrong(f"its import ended the process (status {child.returncode})", why=_REFUSES, fix=fix)
    return wrong(in_short(fault), why=_REFUSES, fix=fix) if fault else well(f"{path} can be imported")


async def _end(child: subprocess.Process) -> None:
    """End the process and what its import has started, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            await child.communicate()


async def kms(box: Box) -> Finding:
    """Check that the key decrypts: the data key of a job that waits, or else that KMS only rejects a made-up one."""
    key_id, waiting = box.options["kms_key_id"], await _waiting_data_key(box)
    if not key_id:
        if waiting is None:
            return well("not used: --kms-key-id is not set")
        return wrong("encrypted jobs wait, and --kms-key-id is not set", why=_NO_KEY, fix="docs/secrets.md")
    if lacking := missing_of_kms():
        return _not_installed(lacking)
    try:
        return await _decrypted(key_id, box.queue, waiting)
    except ImportError as error:  # the package is there, and broken
        return _not_installed([error.name or "boto3"])
    except (KeyUnavailable, TimeoutError) as error:
        return _no_kms(error)


async def _decrypted(key_id: str, queue: str, waiting: bytes | None) -> Finding:
    """Have the key decrypt. Raises ImportError, KeyUnavailable, TimeoutError."""
    try:
        await asyncio.get_running_loop().run_in_executor(None, _open, key_id, queue, waiting or _MADE_UP)
    except KeyRefused as refused:
        if waiting is None:
            return well(f"{key_id} is reached; no encrypted job waits to be decrypted")
        fix = "compare --kms-key-id with the router's ROUTER_KMS_KEY_ID"
        return wrong(f"a job that waits cannot be decrypted: {refused}", why=_NO_KEY, fix=fix)
    return well(f"{key_id} decrypts the data key of a job that waits")


def _not_installed(packages: Sequence[str]) -> Finding:
    found = f"{' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} not installed"
    fix = f"install {' and '.join(packages)} beside the worker, or its wheel with the extra: FILE.whl[kms]"
    return wrong(found, why=_REFUSES, fix=fix)


def _no_kms(error: Exception) -> Finding:
    way = "look at this machine's way to KMS"
    if isinstance(error, TimeoutError):
        return wrong(f"no answer within {KMS_SECONDS:g} s", why=_NO_KEY, fix=way)
    fault, _, fix = str(error).partition("; ")
    return wrong(fault, why=_NO_KEY, fix=fix or way)


def _open(key_id: str, queue: str, encrypted: bytes) -> None:
    importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")  # opens a job with the data key
    with deadlines.within(KMS_SECONDS):
        deadlines.in_time(lambda: DataKeys(key_id).opened(queue, encrypted))


async def _waiting_data_key(box: Box) -> bytes | None:
    """Return the encrypted data key of the first job that waits and has one."""
    async for document in first_documents(box):
        sealed = document.get("encrypted_input")
        if isinstance(sealed, str) and is_sealed(sealed):
            key = data_key_of(sealed)
            with suppress(binascii.Error):
                return base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
    return None


async def health_port(box: Box) -> Finding:
    """Check that the port is free, or that the worker already serves it."""
    host, port = box.options["health_host"], box.options["health_port"]
    if port is None:
        return well("not used: --health-port is not set")
    try:
        (await asyncio.start_server(_no_service, host, port)).close()
    except UnicodeError:
        fix = "--health-host 127.0.0.1, or another address or name of this machine"
        return wrong(f"{host!r} cannot be the name of a host", why=_REFUSES, fix=fix)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and await _is_worker(host, port):
            return well(f"{host}:{port} is served by a worker that runs")
        reason = _reason(error)
        fix = f"see who has it: ss -ltnp 'sport = :{port}'; or give another --health-port or --health-host"
        return wrong(f"{host}:{port}: {reason}", why=_REFUSES, fix=fix)
    return well(f"{host}:{port} is free")


def _reason(error: OSError) -> str:
    """Return the system's words alone: asyncio puts the address before them, and a name's error has a number apart."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or type(error).__name__
    return os.strerror(error.errno)


def _no_service(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _is_worker(host: str, port: int) -> bool:
    """Return whether ``/health`` there answers as a worker does."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)
    try:
        reader, writer = await asyncio.open_connection(everywhere.get(host, host), port)
        try:
            writer.write(b"GET /health HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(1):
                document = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        finally:
            writer.transport.abort()
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "running" in document
