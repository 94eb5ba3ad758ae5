"""lambda_router_worker.processing.quarantine: who is inside with whom."""

import asyncio

from lambda_router_worker.processing.quarantine import Quarantine


class Visits:
    """Who came in and went out, in that order."""

    def __init__(self) -> None:
        self.quarantine = Quarantine()
        self.seen: list[str] = []

    async def visit(self, name: str, *, alone: bool = False) -> None:
        async with self.quarantine.entered(alone=alone):
            self.seen.append(f"{name} in")
            await asyncio.sleep(0.01)
            self.seen.append(f"{name} out")


def test_a_suspect_is_alone_and_the_others_are_together():
    async def scenario() -> None:
        visits = Visits()
        await asyncio.gather(
            visits.visit("a"),
            visits.visit("b"),
            visits.visit("S", alone=True),
            visits.visit("T", alone=True),
            visits.visit("c"),
        )
        assert visits.seen == [
            *("a in", "b in", "a out", "b out"), *("S in", "S out"), *("T in", "T out"), *("c in", "c out")
        ]  # fmt: skip

    asyncio.run(scenario())


def test_whoever_is_cancelled_while_waiting_keeps_nobody_out():
    async def scenario() -> None:
        visits = Visits()
        first = asyncio.create_task(visits.visit("a"))
        waiting = [asyncio.create_task(visits.visit(name, alone=True)) for name in "ST"]
        await asyncio.sleep(0.002)
        for task in waiting:
            task.cancel()
        await asyncio.gather(first, *waiting, return_exceptions=True)
        await visits.visit("b", alone=True)
        assert visits.seen == ["a in", "a out", "b in", "b out"]

    asyncio.run(scenario())
