"""The model of leases and tokens: Spin finds nothing in it, and every fault put into it."""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tests.model.spin import MODEL, SMALL, WHOLE, Found, Search, lacking, search

pytestmark = [
    pytest.mark.skipif(bool(lacking()), reason=f"no Spin here: apt-get install {lacking()}"),
    pytest.mark.timeout(300),
]
whole = pytest.mark.proof


@dataclass(frozen=True)
class Fault:
    """A fault, the bounds without which it has no room to show, and the property that it breaks."""

    breaks: str
    room: dict[str, int] = field(default_factory=dict)
    liveness: bool = False
    value: int = 1


STANDS = "the_outcome_of_a_fenced_out_attempt_stands"
TOLD = "an_attempt_is_told_that_its_outcome_stands_and_it_does_not"
BEFORE = "an_attempt_from_before_a_redrive_is_not_fenced_out"
LOST = "an_acknowledged_job_is_lost"
ENDLESS = "a_job_is_started_without_end"
NEVER_ENDS = "a_job_never_ends"

#: Macro, or macro and value.
FAULTS = {
    "TOKENS_RESTART": Fault(STANDS),
    "TOKENS_NOT_RAISED": Fault(BEFORE),
    "TOKENS_COUNTED": Fault(STANDS, {"FAILOVERS": 1}),
    "LETTERS_WITHOUT_TOKEN": Fault(BEFORE, {"STEPS_BACK": 1}),
    "UNFENCED=1": Fault("a_fenced_out_attempt_renews", {"RENEWALS": 1}),
    "UNFENCED=2": Fault(STANDS),
    "UNFENCED=3": Fault("a_fenced_out_attempt_retries"),
    "UNFENCED=4": Fault("a_fenced_out_attempt_gives_its_job_back", {"GIVE_BACKS": 1}),
    "DONE_BY_STATUS": Fault(TOLD),
    "FINISH_OVERWRITES": Fault("a_result_is_written_twice"),
    "LEASES_IGNORED": Fault("an_attempt_is_started_while_the_lease_of_another_holds"),
    "DEATHS_UNCOUNTED": Fault(ENDLESS),
    "ATTEMPTS_UNLIMITED": Fault(ENDLESS),
    "REDRIVE_UNSEEN": Fault("a_letter_that_is_no_longer_there_is_redriven", {"OPERATORS": 2, "REDRIVES": 2}),
    "VANISHED_UNSEEN": Fault(LOST, {"VANISHES": 1}),
    "RETRY_IN_TWO_STEPS": Fault(LOST),
    "PROMOTE_NEVER": Fault(NEVER_ENDS, liveness=True),
    "LEAVING_FORGETS": Fault(NEVER_ENDS, liveness=True),
    "RELEASED_UNSEEN": Fault(NEVER_ENDS, {"GIVE_BACKS": 1}, liveness=True),
}
#: Those that every run of the tests puts in.
SMOKE = ("TOKENS_RESTART", "TOKENS_NOT_RAISED", "PROMOTE_NEVER")


@cache
def found_in(name: str) -> Found:
    fault = FAULTS[name]
    macro, _, value = name.partition("=")
    bounds = {**SMALL, **fault.room, macro: int(value or 1)}
    return search(Search(bounds, fault.liveness, shortest=not fault.liveness))


@pytest.mark.parametrize("liveness", [False, True], ids=["safety", "liveness"])
def test_nothing_is_found_within_small_bounds(liveness: bool) -> None:
    found = search(Search({**SMALL, "ATTEMPTS": 1}, liveness))

    assert (found.broken, found.steps) == (None, [])
    assert found.states > 50_000


@whole
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("wanted", WHOLE, ids=str)
def test_nothing_is_found(wanted: Search) -> None:
    found = search(wanted)

    assert (found.broken, found.steps) == (None, [])


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SMOKE else whole) for name in FAULTS])
def test_a_fault_is_found(name: str) -> None:
    assert found_in(name).broken == FAULTS[name].breaks


def test_the_way_to_fault_1_is_told_in_steps() -> None:
    """A worker sleeps beyond its lease; its job is given up on, redriven and started with the same token."""
    steps = found_in("TOKENS_RESTART").steps

    started = [re.fullmatch(r"(W\d) starts job 0: attempt (\d), token (\d)", step) for step in steps]
    (sleeper, first, token), (_, second, again) = (found.groups() for found in started if found)
    assert (first, second, again) == ("1", "2", token)
    assert any(re.fullmatch(r"O\d redrives letter 1 of job 0", step) for step in steps)
    assert steps[-1] == f"{sleeper} finishes job 0: attempt 1, token {token}, completed"


def test_every_property_is_broken_by_a_fault_and_every_fault_is_tried() -> None:
    text = MODEL.read_text()
    properties = set(re.findall(r"NEVER\((\w+),", text)) - {"what"} | {NEVER_ENDS}
    bounds = set(re.findall(r"#ifndef (\w+)", text))
    switches = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b", " ".join(re.findall(r"^#if (.*)$", text, re.MULTILINE))))

    assert {fault.breaks for fault in FAULTS.values()} == properties
    assert {name.partition("=")[0] for name in FAULTS} == switches - bounds | {"UNFENCED"}
    assert {name for name in FAULTS if "UNFENCED" in name} == {
        f"UNFENCED={number}" for number in re.findall(r"^#define [A-Z_]+ ([1-9])$", text, re.MULTILINE)
    }


def test_the_page_names_every_property() -> None:
    page = (Path(__file__).parents[2] / "docs/design-proof.md").read_text()

    assert set(re.findall(r"^\| `([a-z_1]+)` \|", page, re.MULTILINE)) == {fault.breaks for fault in FAULTS.values()}
