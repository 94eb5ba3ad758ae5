"""``make run`` and ``make token``, as a person uses them: over HTTP, with processes and signals."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import click
import httpx
import pytest
from click.testing import CliRunner

from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack, clean_environ, final, is_alive, run_tool, starting_stack, submit
from tests.model_process import model_process
from tests.patience import eventually
from tools.local import __main__ as local_stack
from tools.local import server as local_server
from tools.local import token
from tools.local.ports import free_ports
from tools.local.state import LocalState
from tools.stack.repository import ROOT

PROMPT = "a prompt that nobody logs"


def test_a_token_a_job_a_worker_and_a_result(stack: RunningStack) -> None:
    with stack.caller("ann") as ann:
        accepted = submit(ann, PROMPT)
        assert accepted.status_code == 202
        assert accepted.headers["Location"] == f"/v1/jobs/{accepted.json()['id']}"
        job = final(ann, accepted.json()["id"])
        assert (job["status"], job["result"]["text"]) == ("completed", PROMPT.upper())
        assert job["id"] in [listed["id"] for listed in ann.get("/v1/jobs").json()["data"]]


def test_a_worker_of_ones_own_finds_redis_by_what_the_terminal_says(stack: RunningStack) -> None:
    assert any(line.endswith(f"export REDIS_URL={stack.facts['redis_url']}\n") for line in stack.said)


def test_somebody_elses_job_is_not_there(stack: RunningStack) -> None:
    with stack.caller("ben") as ben, stack.caller("cat") as cat:
        job_id = submit(ben).json()["id"]
        assert final(ben, job_id)["status"] == "completed"
        for answer in (cat.get(f"/v1/jobs/{job_id}"), cat.delete(f"/v1/jobs/{job_id}")):
            assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_finished_job_stays_finished_when_it_is_deleted(stack: RunningStack) -> None:
    with stack.caller("dan") as dan:
        job_id = submit(dan).json()["id"]
        final(dan, job_id)
        assert [dan.delete(f"/v1/jobs/{job_id}").json()["status"] for _ in range(2)] == ["completed"] * 2


def test_the_same_idempotency_key_gives_the_same_job(stack: RunningStack) -> None:
    with stack.caller("eve") as eve:
        first, second = (submit(eve, **{"Idempotency-Key": "once"}) for _ in range(2))
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json()["id"] == second.json()["id"]
        assert second.headers["Idempotency-Replayed"] == "true"
        assert len(eve.get("/v1/jobs").json()["data"]) == 1


def test_a_repeated_idempotency_key_header_is_refused(stack: RunningStack) -> None:
    with stack.caller("flo") as flo:
        body = {"type": "generate", "input": {"prompt": "x"}}
        keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
        assert flo.post("/v1/jobs", json=body, headers=keys).status_code == 400


def test_more_jobs_at_once_than_the_burst_are_too_many(stack: RunningStack) -> None:
    with stack.caller("gus") as gus:
        answers = [submit(gus) for _ in range(40)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:20] == [202] * 20
    assert statuses[-1] == 429
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert all("RateLimit" in answer.headers and "RateLimit-Policy" in answer.headers for answer in answers)


def test_an_unknown_route_is_a_404_problem(stack: RunningStack) -> None:
    with stack.caller("hal") as hal:
        answer = hal.get("/v2/jobs")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["instance"] == answer.headers["X-Request-Id"]
    assert "Bearer" not in answer.text


def test_head_has_the_headers_of_get_and_no_content(stack: RunningStack) -> None:
    with stack.caller("ida") as ida:
        job = submit(ida).json()["id"]
        final(ida, job)
        for path in ("/health", "/openapi.json", "/v1/jobs", f"/v1/jobs/{job}"):
            get, head = ida.get(path), ida.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert {**head.headers, "x-request-id": "", "date": ""} == {**get.headers, "x-request-id": "", "date": ""}


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("PUT", "/v1/jobs", {"GET", "HEAD", "POST"}), ("PUT", "/health", {"GET", "HEAD"})]
)
def test_a_wrong_method_is_told_the_right_ones(stack: RunningStack, method: str, path: str, allowed: set[str]) -> None:
    answer = httpx.request(method, stack.url + path, trust_env=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (405, "application/problem+json")
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer garbage", "Bearer a.b.c", "Basic ZGVtbzpkZW1v", "Bearer .." + "A" * 9000],
)
def test_without_a_good_token_nobody_gets_in(stack: RunningStack, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = httpx.get(f"{stack.url}/v1/jobs", headers=headers, trust_env=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    metadata = f"{stack.url}/.well-known/oauth-protected-resource"
    assert answer.headers["WWW-Authenticate"] == f'Bearer error="invalid_token", resource_metadata="{metadata}"'


def test_a_token_with_another_signature_is_refused(stack: RunningStack) -> None:
    head, payload, signature = stack.token("ida").split(".")
    forged = f"{head}.{payload}.{signature[::-1]}"
    answer = httpx.get(f"{stack.url}/v1/jobs", headers={"Authorization": f"Bearer {forged}"}, trust_env=False)
    assert answer.status_code == 401


def test_the_token_program_prints_the_token_and_nothing_else(stack: RunningStack) -> None:
    finished = run_tool("local.token", PORT=str(stack.port), AS="jon")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert [len(line.split(".")) for line in finished.stdout.splitlines()] == [3]


def test_the_token_program_needs_none_of_this_machines_aws_settings(stack: RunningStack) -> None:
    finished = run_tool("local.token", PORT=str(stack.port), AWS_PROFILE="nobody", http_proxy="http://127.0.0.1:9")
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("user", ["", "a b", "-x", "ünal", "x" * 65, "a/b"])
def test_a_name_that_cannot_be_a_users_is_refused(user: str) -> None:
    finished = CliRunner().invoke(token.main, ["--as", user])
    assert (finished.exit_code, finished.stdout) == (1, "")
    assert "use 1 to 64 letters" in finished.stderr


def test_a_token_for_a_stack_that_does_not_run_names_the_way_to_start_it() -> None:
    port = free_ports(1)[0]
    finished = run_tool("local.token", "--port", str(port))
    assert (finished.returncode, finished.stdout) == (1, "")
    assert f"nothing runs on port {port}: start it with `PORT={port} make run` or" in finished.stderr


def test_a_taken_port_is_named_with_the_way_out(stack: RunningStack) -> None:
    finished = run_tool("local", PORT=str(stack.port))
    assert (finished.returncode, finished.stdout) == (1, "")
    assert f"port {stack.port} is taken" in finished.stderr
    assert "PORT=" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1", "8000.5"])
@pytest.mark.parametrize("program", [local_stack.main, local_server.main, token.main])
def test_a_port_that_is_none_is_refused(program: click.Command, port: str) -> None:
    finished = CliRunner().invoke(program, env={"PORT": port})
    assert (finished.exit_code, finished.stdout) == (1, "")
    assert finished.stderr == f"Error: PORT is '{port}'; set a whole number from 1 to 65535, such as PORT=8001\n"


@pytest.mark.parametrize("half", [{"BACKEND": "http://127.0.0.1:9/v1"}, {"MODEL": "tinyllama"}])
def test_a_backend_without_a_model_is_refused_and_the_other_way_round(half: dict[str, str]) -> None:
    finished = CliRunner().invoke(local_stack.main, env=half)
    assert (finished.exit_code, finished.stdout) == (1, "")
    assert "set both BACKEND and MODEL" in finished.stderr


def test_two_stacks_do_not_disturb_each_other(stack: RunningStack, start_stack: StartStack) -> None:
    other = start_stack()
    with stack.caller("kim") as here, other.caller("kim") as there:
        job_id = submit(here).json()["id"]
        assert there.get(f"/v1/jobs/{job_id}").status_code == 404
        assert httpx.get(f"{other.url}/v1/jobs", headers=here.headers, trust_env=False).status_code == 401
        assert other.stop() == 0
        assert final(here, job_id)["status"] == "completed"
    assert httpx.get(f"{stack.url}/ready", trust_env=False).status_code == 200


def test_of_two_stacks_begun_at_once_on_one_port_one_runs_and_the_other_says_why() -> None:
    port = free_ports(1)[0]
    with starting_stack(port) as one, starting_stack(port) as other:
        loser = _first_to_end(one, other)
        said, _ = loser.communicate(timeout=30)
        winner = other if loser is one else one
        assert winner.stdout is not None
        while (line := winner.stdout.readline()) != f"READY http://127.0.0.1:{port}\n":
            assert line, "the other one ended, too"
        winner.terminate()
        winner.communicate(timeout=30)
    assert (loser.returncode, winner.returncode) == (1, 0)
    assert f"port {port} is taken" in said
    shutil.rmtree(LocalState(port).folder)


def _first_to_end(*processes: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    while not (ended := [process for process in processes if process.poll() is not None]):
        time.sleep(0.05)
    return ended[0]


def test_a_waiting_job_its_owner_and_his_token_survive_even_a_kill(start_stack: StartStack) -> None:
    first = start_stack()
    with first.caller("liz") as liz:
        os.kill(first.pids["worker"], signal.SIGSTOP)
        time.sleep(1.5)  # its last claim is over
        job = submit(liz, "survive").json()
    pids = first.pids
    first.process.kill()
    first.process.wait()
    second = start_stack(first.port)
    assert not [name for name, pid in pids.items() if is_alive(pid)]
    with httpx.Client(base_url=second.url, headers=liz.headers, trust_env=False, timeout=30) as old_token:
        assert final(old_token, job["id"])["result"]["text"] == "SURVIVE"
    with second.caller("liz") as new_token:
        assert [listed["id"] for listed in new_token.get("/v1/jobs").json()["data"]] == [job["id"]]
    assert second.stop() == 0


def test_a_part_that_dies_ends_the_stack_and_is_named(start_stack: StartStack) -> None:
    stack = start_stack()
    pids = stack.pids
    os.kill(pids["worker"], signal.SIGKILL)
    assert stack.process.wait(30) == 1
    time.sleep(0.2)
    assert "worker died (SIGKILL); the end of .local/" in "".join(stack.said)
    assert "  | " in "".join(stack.said)
    assert not [name for name, pid in pids.items() if is_alive(pid)]
    assert LocalState(stack.port).published() is None


def test_ctrl_c_ends_everything_in_order(start_stack: StartStack) -> None:
    stack = start_stack()
    pids = stack.pids
    for _ in range(3):  # impatience changes nothing
        stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(30) == 0
    assert not [name for name, pid in pids.items() if is_alive(pid)]
    assert LocalState(stack.port).published() is None


def test_ctrl_c_while_it_starts_leaves_nothing_behind() -> None:
    port = free_ports(1)[0]
    state = LocalState(port)
    with starting_stack(port) as process:
        assert process.stdout is not None
        while "starting Cognito" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert (process.returncode, "READY" in said) == (0, False)
    with state.locked():  # nobody else has the lock: every process is gone
        pass
    shutil.rmtree(state.folder)


def test_a_real_backend_answers_by_way_of_the_worker(start_stack: StartStack) -> None:
    with HTTPServer(("127.0.0.1", 0), FakeModel) as model:
        threading.Thread(target=model.serve_forever, daemon=True).start()
        backend = f"http://127.0.0.1:{model.server_address[1]}/v1"
        stack = start_stack(BACKEND=backend, MODEL="tiny")
        with stack.caller("mia") as mia:
            job = final(mia, submit(mia).json()["id"])
        assert stack.stop() == 0
        model.shutdown()
    assert (job["status"], job["result"]["text"]) == ("completed", "I am a model.")
    assert any(f"tiny at {backend}" in line for line in stack.said)


def test_a_model_server_that_is_gone_is_said_on_the_terminal_and_so_is_its_return(start_stack: StartStack) -> None:
    with model_process("tiny") as server:
        server.kill()
        stack = start_stack(BACKEND=server.base_url, MODEL="tiny")
        with stack.caller("mia") as mia:
            job_id = submit(mia).json()["id"]
            assert eventually(lambda: [line for line in stack.said if "connection refused" in line], 20)
            assert mia.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"
            server.start()
            assert final(mia, job_id)["status"] == "completed"
        assert eventually(lambda: "the worker takes jobs again\n" in stack.said, 20)
        assert stack.stop() == 0


class FakeModel(BaseHTTPRequestHandler):
    """An OpenAI-compatible server with one sentence to say."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = (
            b'{"id": "x", "object": "chat.completion", "model": "tiny", "choices": [{"index": 0,'
            b' "finish_reason": "stop", "message": {"role": "assistant", "content": "I am a model."}}],'
            b' "usage": {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}}'
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_nothing_secret_is_in_the_logs_and_only_the_owner_may_read_them(stack: RunningStack) -> None:
    token = stack.token("ned")
    with stack.caller("ned") as ned:
        final(ned, submit(ned, PROMPT).json()["id"])
        ned.post("/v1/jobs", content=f'{{"{PROMPT}"'.encode(), headers={"Content-Type": "application/json"})
    folder = LocalState(stack.port).folder
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "stack.json").stat().st_mode & 0o077 == 0
    for part in ("app", "worker", "cognito", "valkey"):
        text = stack.log(part)
        assert text
        for secret in (token, token.split(".")[2], PROMPT, PROMPT.upper(), stack.facts["redis_url"], "Traceback"):
            assert secret not in text, part


def test_the_log_has_one_json_line_for_each_request(stack: RunningStack) -> None:
    answer = httpx.get(f"{stack.url}/health", trust_env=False)
    lines = [line for line in stack.log("app").splitlines() if answer.headers["X-Request-Id"] in line]
    assert len(lines) == 1
    assert '"route":"/health"' in lines[0]


class TestServerAlone:
    """``python -m tools.local.server`` without the stack."""

    def test_wrong_settings_end_it_with_their_explanation(self) -> None:
        finished = run_tool("local.server", "--port", str(free_ports(1)[0]), COGNITO_AUD="x")
        assert (finished.returncode, finished.stdout) == (2, "")
        assert "COGNITO_USER_POOL_ID: found nothing" in finished.stderr
        assert "Traceback" not in finished.stderr

    def test_a_taken_port_comes_before_wrong_settings(self, stack: RunningStack) -> None:
        finished = run_tool("local.server", "--port", str(stack.port))
        assert finished.returncode == 1
        assert f"port {stack.port} is taken" in finished.stderr

    def test_it_serves_until_sigterm_and_ends_with_status_0(self) -> None:
        port = free_ports(1)[0]
        environ = clean_environ() | {
            "COGNITO_USER_POOL_ID": "eu-central-1_Test",
            "COGNITO_AUD": "client",
            "COGNITO_JWKS": f"http://127.0.0.1:{port}/none.json",
            "REDIS_URL": "redis://127.0.0.1:1/0",
        }
        command = [sys.executable, "-m", "tools.local.server", "--port", str(port)]
        with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE) as server:
            # The port is bound before the app is imported, so the first request only waits.
            while not _listens(port):
                time.sleep(0.05)
            answer = httpx.get(f"http://127.0.0.1:{port}/ready", timeout=30, trust_env=False)
            server.terminate()
            server.communicate(timeout=30)
        assert (answer.status_code, answer.json()["redis"]["ok"], answer.json()["jwks"]["ok"]) == (503, False, False)
        assert server.returncode == 0


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
