"""The whole way of a newcomer: ``make run``, and then everything in a browser."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.browser.conftest import Visit
from tests.browser.docs_page import DocsPage
from tests.e2e.calling_model import MODEL, CallingModel, calling_model
from tests.e2e.running_stack import RunningStack, clean_environ, submit
from tests.patience import eventually
from tools.local.ports import free_ports
from tools.stack.repository import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture
def model() -> Iterator[CallingModel]:
    with calling_model() as model:
        yield model


@pytest.fixture
def made(model: CallingModel) -> Iterator[RunningStack]:
    """``make run`` itself, with one place for a job."""
    (port,) = free_ports(1)
    command = ["make", "run", f"PORT={port}", f"BACKEND={model.base_url}", f"MODEL={MODEL}"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=clean_environ() | {"WORKER_CONCURRENCY": "1", "ROUTER_OPEN_JOBS_CAP": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that the signal below reaches what make has started, as Ctrl-C does
    )
    stack = RunningStack(port, process)
    threading.Thread(target=stack.listen, daemon=True).start()
    try:
        stack.wait_until_ready()
        yield stack
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def test_from_make_run_to_a_result_by_looking_alone(made: RunningStack, model: CallingModel, visit: Visit) -> None:
    assert eventually(lambda: any(f"{made.url}/ " in line for line in made.said))
    alice = visit(made)
    alice.sign_in("alice")
    secrets = alice.watched.learn()
    assert len(secrets) >= 3

    with made.caller("bob") as bob:
        ahead = [f"held {number} of bob" for number in range(2)]
        for prompt in ahead:
            assert submit(bob, prompt).status_code == 202
        mine = "held words that come one by one"
        alice.ask(mine)
        alice.sees_status("Place 2 in line")
        for prompt in ahead:
            model.let_go(prompt)

    for count in (1, 3):
        model.let_go(mine, count - len(alice.words.split()))
        alice.sees_words(" ".join(mine.upper().split()[:count]))
        assert alice.page.get_by_role("button", name="Cancel", exact=True).is_visible()
    model.let_go(mine)
    alice.sees_words(mine.upper())
    alice.sees_end()
    assert re.search(r"job_[0-9a-f]{32}", alice.facts)
    # LIMITS assert re.search(r"\d+ more", alice.page.locator("#limits").inner_text())

    alice.ask("held until it is cancelled")
    model.let_go("held until it is cancelled", 1)
    alice.sees_words("HELD")
    alice.page.locator("#cancel").click()
    alice.sees_end("cancelled")

    alice.sees(lambda: alice.jobs.count() == 2, lambda: alice.page.locator("#jobs").inner_text())
    newest, oldest = alice.jobs.all_inner_texts()
    assert ("cancelled" in newest, "completed" in oldest) == (True, True)
    alice.jobs.nth(1).get_by_role("button").first.click()
    alice.sees_words(mine.upper())

    alice.ask("rejected by the model server")
    alice.sees_problem("The job is failed", "Request id: ")
    (request_id,) = re.findall(r"Request id: ([\w-]+)", alice.problem)
    assert request_id in made.log("app")

    docs = DocsPage(alice)
    docs.open()
    docs.authorize("alice")
    status, body = docs.try_out("post", "/v1/jobs", {"type": "generate", "input": {"prompt": "from the docs"}})
    assert status == 202
    assert body["status"] in {"queued", "in_progress"}

    for part in ("app", "cognito", "worker", "valkey"):
        assert [secret for secret in alice.watched.learn() if secret in made.log(part)] == []
