"""``lambda-router chat``, ``jobs``, ``show`` and ``cancel`` beside ``make run``, with pipes and on a terminal."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.calling_model import MODEL, text_of
from tests.e2e.conftest import StartStack
from tests.e2e.kit.kit_commands import make_home, on_terminal, run_kit
from tests.e2e.live import Live
from tests.patience import eventually

Login = Callable[[str], Path]


@pytest.fixture
def login(live: Live, tmp_path: Path) -> Login:
    """The kit's folder of a user."""
    return lambda user: make_home(tmp_path / user, live.stack.url, live.stack.token(user))


def test_words_come_one_after_the_other_and_nothing_else(live: Live, login: Login) -> None:
    prompt = "held for a chat"
    with on_terminal(login("ada"), "chat", "-m", MODEL, prompt, piped=True) as running:
        for count, word in enumerate(text_of(prompt).split(), 1):
            live.model.let_go(prompt, 1)
            assert running.pipes(word)
            assert len(running.piped.split()) == count
        assert running.end() == 0
        assert running.pipes("CHAT\n")
    assert running.piped == f"{text_of(prompt)}\n"


def test_thoughts_are_no_part_of_the_answer_and_the_only_model_needs_no_name(login: Login) -> None:
    ran = run_kit(login("bob"), "chat", "think", "one two")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "THINK ONE TWO\n", "")


def test_text_and_standard_input_are_asked_together(login: Login) -> None:
    home = login("cid")
    for arguments, said in (["hello"], "HELLO GRÜSSE\n"), (["-"], "GRÜSSE\n"):
        ran = run_kit(home, "chat", *arguments, given="\ufeffgrüße\n".encode())
        assert (ran.returncode, ran.stdout) == (0, said)
    for arguments, given in ([], None), ([], b" \n"), (["x"], b"\xff"):
        ran = run_kit(home, "chat", *arguments, given=given)
        assert (ran.returncode, ran.stdout) == (2, "")


def test_a_second_attempt_goes_on_behind_the_words_that_are_still_right(login: Login) -> None:
    ran = run_kit(login("dag"), "chat", "busy with a chat")
    assert (ran.returncode, ran.stdout) == (0, text_of("busy with a chat", 2) + "\n")


def test_json_is_one_response_and_jobs_list_and_show_it(login: Login) -> None:
    home = login("eva")
    found = json.loads(run_kit(home, "chat", "--json", "hello", "you").stdout)
    assert (found["status"], found["output_text"]) == ("completed", "HELLO YOU")
    job_id = found["id"].replace("resp_", "job_")

    failed = run_kit(home, "chat", "rejected")
    assert (failed.returncode, failed.stdout) == (3, "")
    assert "backend_rejected" in failed.stderr

    rows = [line.split() for line in run_kit(home, "jobs").stdout.splitlines()]
    assert [row[0] for row in rows] == ["STATUS", "failed", "completed"]
    assert rows[2][1] == job_id
    first = json.loads(run_kit(home, "jobs", "--json", "--limit", "1").stdout)
    second = json.loads(run_kit(home, "jobs", "--json", "--cursor", first["next_cursor"]).stdout)
    assert [job["id"] for job in first["data"] + second["data"]] == [rows[1][1], rows[2][1]]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert run_kit(home, "show", "--text", found["id"]).stdout == "HELLO YOU\n"
    shown = run_kit(home, "show", job_id).stdout
    assert shown.endswith("\n\nHELLO YOU\n")
    assert job_id in shown


def test_place_and_expected_start_show_while_the_job_waits_and_ctrl_c_cancels_it(live: Live, login: Login) -> None:
    home, prompt = login("gil"), "held until all are busy"
    with live.client("hob") as other, live.client("gil") as caller:
        for _ in range(20):  # as many as the worker runs at once
            other.responses.create(model=MODEL, input=prompt, background=True)
        with on_terminal(home, "chat", "hello") as running:
            assert running.shows("place 1 in line")
            running.press_ctrl_c()
            assert running.end() == 130
        live.model.let_go(prompt)
        (job,) = json.loads(run_kit(home, "jobs", "--json").stdout)["data"]
        assert job["status"] == "cancelled"
        assert job["id"] in running.shown
        assert caller.responses.retrieve(job["id"].replace("job_", "resp_")).status == "cancelled"


def test_ctrl_c_stops_the_model_and_the_words_stay(live: Live, login: Login) -> None:
    prompt = "held and left"
    with on_terminal(login("ike"), "chat", prompt) as running:
        live.model.let_go(prompt, 1)
        assert running.shows("HELD")
        running.press_ctrl_c()
        assert running.end() == 130
    assert eventually(lambda: prompt in live.model.hung_up, 30), "the worker goes on"


def test_cancel_takes_both_forms_of_an_id(live: Live, login: Login) -> None:
    home = login("jay")
    with live.client("jay") as caller:
        ids = [caller.responses.create(model=MODEL, input="held in vain", background=True).id for _ in range(2)]
    ran = run_kit(home, "cancel", ids[0], ids[1].replace("resp_", "job_"))
    assert [line.split()[-1] for line in ran.stdout.splitlines()] == ["cancelled"] * 2
    again = run_kit(home, "cancel", "--json", ids[0])
    assert (again.returncode, json.loads(again.stdout)["status"]) == (0, "cancelled")


def test_the_words_come_from_a_server_that_cannot_stream(live: Live, start_stack: StartStack, tmp_path: Path) -> None:
    beside = start_stack(options=["--chalice"], SERVICES_PORT=str(live.stack.port))
    home = make_home(tmp_path / "kim", beside.url, live.stack.token("kim"))
    prompt = "held without streams"
    with on_terminal(home, "chat", prompt, piped=True) as running:
        live.model.let_go(prompt, 2)
        assert running.pipes("HELD WITHOUT")
        live.model.let_go(prompt)
        assert running.end() == 0
        assert running.pipes("STREAMS\n")
    assert running.piped == f"{text_of(prompt)}\n"
    assert beside.stop() == 0


def test_colours_are_for_terminals_that_want_them(login: Login) -> None:
    home = login("lou")
    run_kit(home, "chat", "hello")
    with on_terminal(home, "jobs") as coloured, on_terminal(home, "jobs", NO_COLOR="1") as plain:
        assert (coloured.end(), plain.end()) == (0, 0)
        assert coloured.shows("completed")
        assert plain.shows("completed")
    assert "\x1b[" in coloured.shown
    assert "\x1b[" not in plain.shown
    assert "\x1b[" not in run_kit(home, "jobs").stdout
