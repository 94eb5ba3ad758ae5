"""Place in line and estimates, from figures made up."""

from pathlib import Path
from typing import Any

import pytest
import redis

from lambda_router_queue import lua_scripts
from lambda_router_queue.flow import FIGURES, Flow

RECORD = (Path(lua_scripts.__file__).parent / "lua/record.lua").read_text()

NOW = 1_800_000_000_000
EMPTY = [0] * 12


def flow(waiting: dict[int, int] | None = None, left: dict[int, int] | None = None, **figures: float) -> Flow:
    spread = [EMPTY[:], EMPTY[:]]
    for target, given in zip(spread, (waiting, left), strict=True):
        for stream, count in (given or {}).items():
            target[stream] = count
    return Flow(spread[0], spread[1], figures.get("service_ms", 0), int(figures.get("slots", 0)))


@pytest.mark.parametrize(
    ("waiting", "left", "stream", "seq", "position"),
    [
        ({4: 1}, {}, 4, 1, 1),
        ({4: 5}, {4: 10}, 4, 15, 5),
        ({4: 1, 7: 1000}, {}, 4, 1, 2),
        ({4: 3, 5: 1, 6: 2, 7: 1000}, {}, 4, 3, 1 + 2 + 1 + 2 + 3),
        ({4: 1, 0: 1000}, {}, 4, 1, 1 + 2),
        ({8: 1, 0: 1000, 4: 1000}, {}, 8, 1, 1 + 6 + 3),
        ({0: 1, 8: 1000}, {}, 0, 1, 1),
        ({4: 0}, {4: 10}, 4, 3, 1),
    ],
    ids=[
        "alone",
        "fifth in its lane",
        "other lane",
        "all lanes",
        "high ahead",
        "low behind both",
        "low never",
        "stale",
    ],
)
def test_position(waiting: dict[int, int], left: dict[int, int], stream: int, seq: int, position: int) -> None:
    assert flow(waiting, left).position(stream, seq) == position


@pytest.mark.parametrize(
    ("position", "slots", "delay_ms"),
    [(1, 0, None), (1, 1, 0), (3, 1, 2000), (3, 2, 500), (2, 4, 0)],
    ids=["no workers", "next", "two ahead", "two ahead, two slots", "a slot is free"],
)
def test_the_wait_is_shared_by_the_slots(position: int, slots: int, delay_ms: float | None) -> None:
    assert flow(slots=slots, service_ms=1000).start_delay_ms(position) == delay_ms


def test_a_full_queue_drains_at_the_pace_of_its_slots() -> None:
    assert flow(slots=4, service_ms=2000).drain_ms() == 500
    assert flow(service_ms=2000).drain_ms() == 0


def line(figures: dict[str, Any]) -> str:
    """What ``record.lua`` writes of a hash with these fields."""
    return " ".join(str(figures.get(name, 0)) for name in FIGURES)


def test_figures_are_read_from_their_line() -> None:
    figures = {"added:3": 7, "left:3": 2, "service_ms": "12.5", "slots": 3, "slots_at": NOW - 1000}

    read = Flow.from_line(line(figures), NOW, pytest.fail)

    assert (read.waiting[3], read.left[3], read.service_ms, read.slots) == (5, 2, 12.5, 3)


def test_of_an_empty_line_nothing_is_known() -> None:
    assert Flow.from_line("", NOW, pytest.fail) == Flow([0] * 12, [0] * 12, 0, 0)


def test_the_script_writes_each_figure_in_its_place(db: redis.Redis) -> None:
    db.hset("flow", mapping={name: number for number, name in enumerate(FIGURES, 1)} | {"turn": 99})
    written = db.eval(f"{RECORD}\nreturn line_of(figures(KEYS[1]))", 1, "flow")
    assert written == " ".join(str(number) for number in range(1, len(FIGURES) + 1))
    assert db.eval(f"{RECORD}\nreturn line_of(figures(KEYS[1]))", 1, "nothing") == line({})


def test_workers_not_heard_of_for_15_seconds_do_not_count() -> None:
    assert Flow.from_line(line({"slots": 3, "slots_at": NOW - 15_001}), NOW, pytest.fail).slots == 0


def test_a_counter_that_lags_never_shows_a_negative_line() -> None:
    assert Flow.from_line(line({"added:0": 1, "left:0": 5}), NOW, pytest.fail).waiting[0] == 0
