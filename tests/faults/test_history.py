"""The checker finds what it is there to find."""

import json
from pathlib import Path

import pytest

from tests.faults.history import Answer, History, Tail, percentile, read


def told(*verdicts: tuple[int, str], key: str = "k", prompt: str = "p") -> History:
    """A caller that sent one job under one key, and was answered this, one after the other."""
    history = History()
    for number, verdict in enumerate(verdicts):
        history.add(Answer(key, [prompt], float(number), 0.5, [verdict]))
    return history


def given(*ids: str, key: str = "k/0", prompt: str = "p") -> list[dict[str, str]]:
    return [{"id": job_id, "key": key, "prompt": prompt} for job_id in ids]


AGREE = {
    "acknowledged and done": (told((202, "a")), given("a")),
    "acknowledged and begun twice": (told((202, "a")), given("a", "a")),
    "repeated, same job": (told((202, "a"), (202, "a")), given("a")),
    "unknown and not there": (told((503, "")), []),
    "unknown and there": (told((503, "")), given("a")),
    "refused and not there": (told((422, "")), []),
}
CONTRADICT = {
    "lost": (told((202, "a")), [], "acknowledged as ['a'], delivered as []"),
    "another in its place": (told((202, "a")), given("b"), "acknowledged as ['a'], delivered as ['b']"),
    "doubled": (told((202, "a")), given("a", "b"), "more than one job"),
    "doubled although unknown": (told((503, "")), given("a", "b"), "more than one job"),
    "a repeat makes a new one": (told((202, "a"), (202, "b")), given("a"), "more than one job"),
    "refused and done": (told((422, "")), given("a"), "refused with [422], delivered as ['a']"),
    "never sent": (History(), given("a"), "never sent"),
    "changed on the way": (told((202, "a")), given("a", prompt="q"), "was sent 'p', came as 'q'"),
}


@pytest.mark.parametrize(("history", "deliveries"), AGREE.values(), ids=AGREE)
def test_what_may_happen_is_no_contradiction(history: History, deliveries: list[dict[str, str]]) -> None:
    assert history.contradictions(deliveries) == []


@pytest.mark.parametrize(("history", "deliveries", "words"), CONTRADICT.values(), ids=CONTRADICT)
def test_what_may_not_happen_is_named(history: History, deliveries: list[dict[str, str]], words: str) -> None:
    (contradiction,) = history.contradictions(deliveries)

    assert words in contradiction


def test_jobs_of_a_batch_are_counted_each() -> None:
    history = History()
    history.add(Answer("k", ["p", "q", "r"], 0.0, 0.5, [(202, "a"), (503, ""), (429, "")]))

    assert [history.count(verdict) for verdict in ("202", "unknown", "refused")] == [1, 1, 1]
    assert (history.acknowledged, history.statuses(), history.refusals()) == (1, {202, 503, 429}, [])


def test_recovery_is_the_first_acknowledgement_that_ends_after_the_fault() -> None:
    history = told((202, "a"), (503, ""), (202, "a"), (202, "a"))

    assert history.first_accepted_after(0.9) == 2.5
    assert history.first_accepted_after(9.0) is None


def test_a_line_is_read_once_and_not_before_it_is_whole(tmp_path: Path) -> None:
    path, history = tmp_path / "history", History()
    tail, line = Tail(path), json.dumps(["k", ["p"], 0.0, 0.5, [[202, "a"]]])
    read([tail], history)
    path.write_text(f"{line}\n{line[:9]}")
    read([tail], history)
    read([tail], history)
    assert len(history.answers) == 1

    path.write_text(f"{line}\n{line}\n")
    read([tail], history)

    assert len(history.answers) == 2


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.99, 4), (1.0, 4), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], share) == value
    assert percentile([], share) == 0
