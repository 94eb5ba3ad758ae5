"""Takes steps on a Valkey: puts a state there, has the product's own command run, and looks what came of it."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from chalicelib.admission import Admission
from tests.model import product
from tests.model.product import Asked, Call, next_command
from tests.model.promises import ENDS, TWICE, Promise, Step, broken
from tests.model.server import BEGAN_US, Server, data_of, packed, refused
from tests.model.sight import Sight, shifted
from tests.model.world import ENDINGS, Action, Hand, Scenario, World, after_failover, call_of, learnt
from worker.work_queue import Lease

#: What reads every stream or adds to one; nothing else minds that one which was never used is missing.
_WANT_STREAMS = {"claim", "sweep", "tidy", "leave", "submits", "resubmits", "redrive", "promote"}
_WRITE = {"EVALSHA", "XGROUP", "XDEL"}
_ONCE = {"claim", "sweep"}


class Node(NamedTuple):
    """A state, and how it was reached. ``repeat``: the last command, where it may be sent twice, and its ``reply``."""

    now_us: int
    sight: Sight
    world: World
    look: str = "[]"
    parent: "Node | None" = None
    action: Action | None = None
    answer: Any = None
    repeat: bytes = b""
    reply: Any = None

    def history(self) -> list["Node"]:
        return [] if self.parent is None else [*self.parent.history(), self]

    def digest(self) -> bytes:
        text = f"{self.sight.text()}\n{self.world.text()}"
        return blake2b(shifted(text, self.now_us // 1000).encode(), digest_size=12).digest()


class Found(NamedTuple):
    """A promise that a history breaks."""

    promise: Promise
    node: Node

    def __str__(self) -> str:
        lines = [f"  {at}. {node.action} -> {_brief(node.answer)}" for at, node in enumerate(self.node.history(), 1)]
        return "\n".join([f"{self.promise.name} ({self.promise.page}: “{self.promise.sentence}”)", *lines])


def _brief(answer: Any) -> str:
    match answer:
        case Lease():
            return f"run, token {answer.token}, attempt {answer.attempts}"
        case Admission():
            return " ".join(decision.verdict for decision in answer.decisions)
        case list() | tuple():
            return f"[{' '.join(str(getattr(each, 'entry_id', '…')) for each in answer)}]"
    return str(getattr(answer, "status", answer))[:100]


class Explorer:
    """``changed``: scripts' texts by name, for those that are not run as shipped."""

    def __init__(self, server: Server, scenario: Scenario, changed: dict[str, str] | None = None) -> None:
        self.server, self.scenario, self._changed = server, scenario, tuple((changed or {}).items())
        self._calls: dict[object, tuple[str, ...]] = {}
        self.scripts: set[str] = set()
        self.steps = 0

    def root(self) -> Node:
        return Node(BEGAN_US, Sight(BEGAN_US // 1000, {}), World(tuple(Hand() for _ in self.scenario.crew)))

    def after(self, node: Node, chosen: Iterable[Action]) -> Iterator[Node]:
        """The state after each of these actions; those that are one command go in one call."""
        single = []
        for action in chosen:
            if action.actor in ("clock", "redis") or action.verb == "crash":
                yield self._without_command(node, action)
                continue
            key, call = call_of(action, self.scenario, node.world)
            parts = self._calls.get(key) or self._calls.setdefault(key, next_command(call, []))
            if parts[0] == "EVALSHA" and not action.how.strip("0123456789"):
                single.append((action, call, self._command(parts)))
            else:
                yield self._several(node, action, call)
        if single:
            yield from self._in_one_go(node, single)

    def _command(self, parts: tuple[str, ...]) -> bytes:
        self.scripts.add(product.NAMES.get("".join(parts[1:2]), ""))
        return product.command(parts, self.server, self._changed)

    def _in_one_go(self, node: Node, single: list[tuple[Action, Call, bytes]]) -> Iterator[Node]:
        self.server.at(node.now_us + 1)
        put, whole = self.server.put(node.sight.data, ()), self.server.put(node.sight.data)
        asked = [
            [whole if action.verb in _WANT_STREAMS else put, command, self.server.look] for action, _, command in single
        ]
        replies = self.server.ask_all([part for parts in asked for part in parts])
        for (action, call, command), reply, look in zip(single, replies[1::3], replies[2::3], strict=True):
            if refused(reply):
                raise RuntimeError(f"{action} after {Found(ENDS, node)}: {reply}")
            try:
                answer = call([reply])
            except Asked:  # it sends more than one
                yield self._several(node, action, call)
            else:
                yield self._node(node, action, answer, look, b"" if action.verb in _ONCE else command)._replace(
                    reply=reply
                )

    def _several(self, node: Node, action: Action, call: Call) -> Node:
        """A call that may send several commands, be held up before it writes, or find the memory full."""
        replies = next(
            (list(known) for begun, known in node.world.paused if action.how == "goes on" and begun[:3] == action[:3]),
            [],
        )
        self.server.at(node.now_us + 1)
        self.server.ask(self.server.put(node.sight.data))
        while parts := next_command(call, replies):
            if action.how == "paused" and replies and parts[0] in _WRITE:
                return self._node(node, action, tuple(replies), self.server.ask(self.server.look), b"")
            room = [packed("CONFIG", "SET", "maxmemory", size) for size in (int(action.how == "full"), 0)]
            reply = self.server.ask_all([room[0], self._command(parts), room[1]])[1]
            if refused(reply) and str(reply).startswith("OOM"):
                return self._node(node, action, reply, self.server.ask(self.server.look), b"")
            replies.append(reply)
        done = action._replace(how="") if action.how in ("paused", "full") else action
        return self._node(node, done, call(replies), self.server.ask(self.server.look), b"")

    def _without_command(self, node: Node, action: Action) -> Node:
        now_us, lost = node.now_us + 1 + (action.about * 1000 if action.verb == "jumps" else 0), node
        while action.verb == "fails over" and lost.parent is not None and lost.sight.same(node.sight):
            lost = lost.parent
        data = {key: value for key, value in lost.sight.data.items() if not 0 <= value.expires <= now_us // 1000}
        child = self._learnt(node, action, None, Sight(now_us // 1000, data), now_us)
        return child._replace(world=after_failover(child.world, lost.world)) if action.verb == "fails over" else child

    def _node(self, node: Node, action: Action, answer: Any, look: str, repeat: bytes) -> Node:
        self.steps += 1
        now_us = node.now_us + 1
        is_same = look == node.look and now_us // 1000 == node.sight.now
        sight = node.sight if is_same else Sight(now_us // 1000, data_of(look))
        return self._learnt(node, action, answer, sight, now_us)._replace(look=look, repeat=repeat)

    def _learnt(self, node: Node, action: Action, answer: Any, sight: Sight, now_us: int) -> Node:
        world = learnt(action, self.scenario, node.world, answer, node.sight, sight)
        return Node(now_us, sight, world, "", node, action, answer)

    def faults(self, node: Node) -> Iterator[Found]:
        """Promises that the last step broke."""
        if (parent := node.parent) is not None and node.action is not None:
            step = Step(self.scenario, node.action, node.answer, parent.sight, node.sight, parent.world, node.world)
            yield from (Found(promise, node) for promise in broken(step))

    def unlike_once(self, nodes: list[Node]) -> Iterator[Found]:
        """Of these states, all of one age: whose last command changes something when it is sent again."""
        if nodes := [node for node in nodes if node.repeat]:
            self.server.at(nodes[0].now_us + 1)
            parts = [
                part for node in nodes for part in (self.server.put(node.sight.data), node.repeat, self.server.look)
            ]
            replies = self.server.ask_all(parts)
            for node, reply, look in zip(nodes, replies[1::3], replies[2::3], strict=True):
                is_same = look == node.look or Sight(node.sight.now, data_of(look)).same(node.sight)
                may_differ = node.action is None or not (isinstance(node.answer, Lease) or node.action.verb in ENDINGS)
                if not is_same or (reply != node.reply and not may_differ):
                    yield Found(TWICE, node)

    def drained(self, node: Node) -> Iterator[Found]:
        """What is found on the way to the end, with one worker left that works."""
        for _ in range(8):
            begun = node
            node = self.step(node, Action("clock", "jumps", self.scenario.crew[0].lease_ms))
            for verb in ("promote", *["sweep"] * 3, *["claim"] * 3):
                node = self._worked(self.step(node, Action("w1", verb)))
            for each in node.history()[len(begun.history()) :]:
                yield from self.faults(each)
            if not node.sight.entries and not node.sight.sets.get("scheduled"):
                break
        if any(not fate.final and (fate.begun or fate.job_id in node.sight.jobs) for fate in node.world.fates):
            yield Found(ENDS, node)

    def _worked(self, node: Node) -> Node:
        """All that its worker has claimed is done."""
        while node.world.hands[0].claims:
            node = self.step(node, Action("w1", "start"))
            if isinstance(node.answer, Lease):
                node = self.step(node, Action("w1", "complete", len(node.world.hands[0].leases) - 1))
        return node

    def step(self, node: Node, action: Action) -> Node:
        return next(iter(self.after(node, [action])))
