"""A job's live output at ``GET /v1/jobs/{id}/events``: npm's ``eventsource``, its parser, curl, and pages of JSON."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests import npm
from tests.e2e.calling_model import REASONING, text_of
from tests.e2e.live import Live, all_events, events_of, text
from tests.e2e.running_stack import final, submit
from tests.patience import eventually

JAVASCRIPT = Path(__file__).with_name("javascript")


def in_javascript(live: Live, program: str, user: str, job_id: str) -> Any:
    npm.install(JAVASCRIPT)
    address = f"{live.stack.url}/v1/jobs/{job_id}/events"
    ran = npm.run(JAVASCRIPT, "node", program, address, live.stack.token(user))
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_eventsource_reads_all_and_stops_at_the_end(live: Live) -> None:
    with live.stack.caller("abe") as caller:
        job_id = submit(caller, "busy then whole").json()["id"]
        said = in_javascript(live, "events.mjs", "abe", job_id)
        job = final(caller, job_id)
    assert ("".join(said["deltas"]), said["restarted"]) == (text_of("busy then whole", 2), 1)
    assert said["jobs"] == [job]
    assert job["result"]["text"] == text_of("busy then whole", 2)
    assert (said["statuses"][-1], said["closedBy"]) == (204, 204)
    assert (said["resumedAfter"][0], said["resumedAfter"][-1]) == (None, said["ids"][-1])
    assert len(set(said["ids"])) == len(said["ids"])


def test_eventsource_goes_on_where_a_response_ended(live: Live) -> None:
    """On a function that sends its response whole, each response ends after at most 20 s."""
    prompt = "held for eventsource"
    with live.stack.caller("ben") as caller:
        job_id = submit(caller, prompt).json()["id"]
        live.model.let_go(prompt, 1)
        address = f"{live.stack.url}/v1/jobs/{job_id}/events"
        command = ["node", "events.mjs", address, live.stack.token("ben")]
        npm.install(JAVASCRIPT)
        with subprocess.Popen(command, cwd=JAVASCRIPT, stdout=subprocess.PIPE, text=True) as node:
            assert eventually(lambda: text(events_of(caller, job_id)["data"]) == "HELD", 30)
            live.model.let_go(prompt)
            said = json.loads(node.communicate(timeout=50)[0])
    assert "".join(said["deltas"]) == text_of(prompt)
    assert said["statuses"] == [200] * (len(said["statuses"]) - 1) + [204]


def test_events_have_the_form_of_the_html_standard(live: Live) -> None:
    with live.stack.caller("cat") as caller:
        job_id = submit(caller, "think one two").json()["id"]
        job = final(caller, job_id)
        said = in_javascript(live, "parsed.mjs", "cat", job_id)
        page = events_of(caller, job_id)
        assert caller.get(f"/v1/jobs/{job_id}/events").headers["Content-Type"].startswith("text/event-stream")
    assert (said["status"], said["type"].partition(";")[0], said["errors"]) == (200, "text/event-stream", [])
    assert said["retry"] == [1000]
    assert [event["event"] for event in said["events"]] == ["delta"] * (len(said["events"]) - 1) + ["job"]
    data = [json.loads(event["data"]) for event in said["events"]]
    assert "".join(each.get("text", "") for each in data[:-1]) == text_of("think one two")
    assert "".join(each.get("reasoning", "") for each in data[:-1]) == REASONING
    assert data[-1] == job
    assert [(each["id"], each["type"]) for each in page["data"]] == [
        (event["id"], event["event"]) for event in said["events"]
    ]
    assert (page["object"], page["has_more"]) == ("list", False)
    assert [each.get("delta") or each["job"] for each in page["data"]] == data


def test_a_reader_goes_on_after_every_event(live: Live) -> None:
    prompt = "held a b c d"
    with live.stack.caller("dan") as caller:
        job_id = submit(caller, prompt).json()["id"]
        read: list[dict[str, Any]] = []
        while not read or read[-1]["type"] != "job":
            live.model.let_go(prompt, 1)
            after = {"after": read[-1]["id"]} if read else {}
            read += events_of(caller, job_id, **after)["data"][:1]
        assert text(read) == text_of(prompt)
        whole = events_of(caller, job_id)["data"]
        assert whole == read
        for place, event in enumerate(read[:-1]):
            assert events_of(caller, job_id, after=event["id"])["data"] == read[place + 1 :]
            named = {"Last-Event-ID": event["id"], "Accept": "application/json"}
            reply = caller.get(f"/v1/jobs/{job_id}/events", headers=named)
            assert reply.json()["data"] == read[place + 1 :]
        done = caller.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": read[-1]["id"]})
        assert (done.status_code, done.content) == (204, b"")


def test_words_are_read_while_the_job_runs(live: Live) -> None:
    prompt = "held while it runs"
    with live.stack.caller("eve") as caller:
        job_id = submit(caller, prompt).json()["id"]
        live.model.let_go(prompt, 2)
        assert eventually(lambda: len(text(events_of(caller, job_id)["data"]).split()) == 2, 30)
        assert caller.get(f"/v1/jobs/{job_id}").json()["status"] == "in_progress"
        live.model.let_go(prompt)
        assert text(all_events(caller, job_id)) == text_of(prompt)


def test_a_cancelled_job_ends_its_events(live: Live) -> None:
    prompt = "held until cancelled"
    with live.stack.caller("fay") as caller:
        job_id = submit(caller, prompt).json()["id"]
        live.model.let_go(prompt, 1)
        assert eventually(lambda: text(events_of(caller, job_id)["data"]), 30)
        caller.delete(f"/v1/jobs/{job_id}")
        assert all_events(caller, job_id)[-1]["job"]["status"] == "cancelled"


def test_another_callers_events_are_404(live: Live) -> None:
    with live.stack.caller("gus") as gus, live.stack.caller("hal") as hal:
        job_id = submit(gus, "hello").json()["id"]
        final(gus, job_id)
        for path in (f"/v1/jobs/{job_id}/events", "/v1/jobs/job_0/events"):
            assert hal.get(path).status_code == 404
        for bad in ("x", "1", "0-0-0", "9" * 40 + "-1", "-1-1"):
            assert gus.get(f"/v1/jobs/{job_id}/events", params={"after": bad}).status_code == 400
