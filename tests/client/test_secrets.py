"""Tokens are in no log, no error and no list of processes."""

import json
import logging
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambda_router import tokens
from tests.client.conftest import Command
from tests.client.logins import expire
from tests.client.played_router import PlayedRouter, eventually
from tests.contract.repository import ROOT
from tools.local.pool.messages import json_reply


def test_no_log_and_no_error_has_a_token(
    logged_in: PlayedRouter, caplog: pytest.LogCaptureFixture, command: Command
) -> None:
    old = expire()
    with caplog.at_level(logging.DEBUG):
        got = tokens.fresh_token()
    logged_in.lies["/oauth2/token"] = lambda *_: json_reply(
        {"error": "invalid_grant", "error_description": old.refresh_token}, 400
    )
    new = expire()
    ran = command("token")

    assert ran.returncode == 4
    written = caplog.text + ran.stderr + repr(old) + repr(new) + repr(logged_in.pool.metadata())
    for secret in (got, old.access_token, old.refresh_token, new.refresh_token):
        assert secret not in written


def test_the_process_list_shows_no_token(logged_in: PlayedRouter) -> None:
    """``curl -H @-`` reads the header from its input."""
    holder = threading.Event()
    logged_in.lies["/v1/models"] = lambda _, reply: (holder.wait(20), reply)[1]
    line = f"{shlex.quote(sys.executable)} -m lambda_router token --header | curl -s -H @- {logged_in.url}/v1/models"
    with subprocess.Popen(["sh", "-c", line], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        eventually(lambda: logged_in.counted["/v1/models"] == 1)
        shown = "".join(path.read_bytes().decode("latin-1") for path in _command_lines())
        holder.set()
        assert json.loads(process.communicate(timeout=20)[0])["object"] == "list"
    assert "curl" in shown
    assert tokens.fresh_token() not in shown


def _command_lines() -> Iterator[Path]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.exists():
            yield path
