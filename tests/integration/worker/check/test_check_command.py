"""``lambda-router-worker check`` as its user starts it: lines, JSON, exit status, options, and no secrets."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from lambda_router_worker.checking.box import Box
from lambda_router_worker.checking.checks import ALWAYS, EVERY, HANDLER, LAST, MODEL, Check
from lambda_router_worker.checking.findings import Finding
from tests import servers
from tests.integration.backend.hostile_servers import silent_server
from tests.integration.processes import clean_environment
from tests.integration.redis.test_terminal import HOSTILE, hostile_in
from tests.integration.worker.check.checking import DEMO, OK, UNSEEN, WRONG, in_this_process, look_through, run_check
from tests.integration.worker.check.lying_redis import lying
from tests.model_servers import listing, model_server
from tests.tls import encrypted, write_signed

PASSWORD = "hunter2-hunter2"


def test_a_healthy_box_is_all_ok_over_tls_with_a_model_server(redis_url: str, tmp_path: Path) -> None:
    signed = write_signed(tmp_path / "signed")
    with encrypted(redis_url, signed) as port, model_server(listing("tinyllama")) as running:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={signed.authority}"
        health = str(servers.free_port())
        words = ["check", "--backend", running.base_url, "--model", "tinyllama", "--health-port", health]
        said = run_check(*words, REDIS_URL=url)

    assert said.status == OK, said.text
    assert said.kinds == {check.thing: "ok" for check in (*ALWAYS, *MODEL, *LAST)}


def test_the_options_may_stand_before_the_command_and_in_variables(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(redis_url)

    said = run_check(*DEMO, "--redis-url-file", str(tmp_path / "url"), "check", WORKER_QUEUE="llava")

    assert said.status == OK, said.text
    assert said.kinds == {check.thing: "ok" for check in (*ALWAYS, *HANDLER, *LAST)}
    assert "lr:{llava}:*" in said.line("keys")


def test_what_stands_behind_the_command_counts_more(redis_url: str) -> None:
    said = in_this_process("--queue", "one", "check", "--queue", "two", "--no-backend", REDIS_URL=redis_url)

    assert "lr:{two}:*" in said.line("keys")


def test_no_backend_leaves_out_server_and_handler(redis_url: str) -> None:
    said = in_this_process("check", "--no-backend", REDIS_URL=redis_url, WORKER_HANDLER="no_such:thing")

    assert (said.status, set(said.kinds)) == (OK, {check.thing for check in (*ALWAYS, *LAST)})


def test_json_has_a_finding_for_each_line(redis_url: str) -> None:
    said = in_this_process("check", "--no-backend", "--json", REDIS_URL=redis_url)
    document = json.loads(said.text)

    assert (said.status, document["status"]) == (OK, "ok")
    assert [each["thing"] for each in document["findings"]] == [check.thing for check in (*ALWAYS, *LAST)]
    assert set(document["findings"][0]) == {"thing", "ok", "found", "wanted", "why", "fix", "seen"}


def test_a_fault_is_status_3_and_what_needs_it_is_not_seen() -> None:
    said = run_check("check", "--no-backend", REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{servers.free_port()}/0")
    free = {"Redis URL": "ok", "name": "ok", "port": "WRONG", "health port": "ok"}

    assert said.status == WRONG
    assert said.kinds == {check.thing: "UNSEEN" for check in (*ALWAYS, *LAST)} | free
    assert "port" in said.line("KMS")  # the cause, not what is between
    assert PASSWORD not in said.text


def test_something_that_cannot_be_checked_is_status_1(redis_url: str, db: redis.Redis) -> None:
    db.execute_command("ACL", "SETUSER", "uninformed", "reset", "on", f">{PASSWORD}", "~*", "+@all", "-info")
    said = run_check("check", "--no-backend", REDIS_URL=redis_url.replace("://", f"://uninformed:{PASSWORD}@"))

    assert said.status == UNSEEN, said.text
    assert [thing for thing, kind in said.kinds.items() if kind != "ok"] == ["eviction"]
    assert PASSWORD not in said.text


def test_a_url_that_is_none_is_a_finding_that_does_not_show_it() -> None:
    said = run_check("check", "--no-backend", REDIS_URL="redis://:hunter2@host:port/0")

    assert (said.status, said.kinds["Redis URL"]) == (WRONG, "WRONG")
    assert "hunter2" not in said.text


def test_an_option_that_is_none_is_status_2() -> None:
    assert in_this_process("check", "--concurrency", "0").status == 2


@pytest.mark.parametrize("scheme", ["rediss", "redis+cluster"])
def test_a_peer_that_says_nothing_does_not_hang_it(scheme: str) -> None:
    with silent_server() as url:
        began = time.monotonic()
        said = run_check("check", "--no-backend", REDIS_URL=url.replace("redis:", f"{scheme}:"))

    assert (said.status, said.kinds["TLS"]) == (WRONG, "WRONG")
    assert time.monotonic() - began < 40  # 5 s, and the start of Python on a busy machine


def test_a_name_server_that_hangs_does_not_keep_the_process() -> None:
    program = """
import threading
from lambda_router_worker.checking import checks, findings, threads
from tests.integration.worker.check.checking import chain, options

def hang(host, port):
    threading.Event().wait()

found = checks.examine(options(redis_url="redis://host/0"), chain("port"), hang)
raise SystemExit(threads.run(findings.report(found, as_json=False)))
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False, timeout=40)

    assert ran.returncode == WRONG, ran.stderr
    assert ran.stdout.splitlines()[1].startswith("WRONG name")


def test_a_servers_words_control_no_terminal(redis_url: str) -> None:
    words = HOSTILE.replace("\r\n", "")

    def lie(said: Sequence[str]) -> bytes | None:
        return f"-ERR {words}\r\n".encode() if said[0] == "EVALSHA" else None

    with lying(redis_url, lie) as url:
        said = run_check("check", "--no-backend", REDIS_URL=url)

    assert said.status == WRONG
    assert "faked line" in said.text
    assert hostile_in(said.text) == set()


def test_each_check_comes_after_the_one_that_it_needs() -> None:
    seen = {""}
    for check in EVERY:
        assert check.after in seen, check.thing
        assert check.thing not in seen
        assert check.wants, check.thing
        seen.add(check.thing)


def test_a_bug_of_a_check_costs_no_other_finding() -> None:
    async def broken(_box: Box) -> Finding:
        raise RuntimeError(PASSWORD)

    findings = look_through([Check("broken", broken, "it works"), *LAST[1:]])

    assert [(each.thing, each.ok, each.seen) for each in findings] == [
        ("broken", False, False),
        ("health port", True, True),
    ]
    assert "RuntimeError" in findings[0].found
    assert PASSWORD not in str(findings)
