"""Steps on a Valkey: it restores a state, runs the product's own command, once and again, and reads what came of it."""

from collections.abc import Iterable, Iterator
from itertools import batched
from typing import Any, NamedTuple

from chalicelib.redis_wire import Refused
from tests.model.product import SCRIPTS, Call
from tests.model.promises import Step, broken
from tests.model.server import BEGAN_US, Server, packed
from tests.model.sight import Sight, seen
from tests.model.world import Action, Scenario, World, after_failover, call_of, chores, learnt

_NO_ROOM, _ROOM = (packed("CONFIG", "SET", "maxmemory", size) for size in (1, 0))
#: Where nothing is left to do.
_END = Action("everybody", "ends")


#: Actions, and what the server replied.
type History = tuple[tuple[Action, Any], ...]


class Node(NamedTuple):
    """A state, and the way to it. ``replicated``: what a failover goes back to, before the last write."""

    now_us: int
    sight: Sight
    world: World
    replicated: tuple[Sight, World]
    history: History = ()


class Found(NamedTuple):
    """A promise, and a history that breaks it."""

    promise: str
    history: History

    def __str__(self) -> str:
        steps = [f"  {at}. {action} -> {str(reply)[:100]}" for at, (action, reply) in enumerate(self.history, 1)]
        return "\n".join([self.promise, *steps])


#: A step: the state after it, and what it breaks.
type Taken = tuple[Node, list[Found]]


class Explorer:
    """``changed``: a script's file by its name, and text in it to replace: a script that is not run as shipped."""

    def __init__(self, server: Server, scenario: Scenario, changed: tuple[str, str, str] = ("", "", "")) -> None:
        self.server, self.scenario, self._changed = server, scenario, changed
        #: The scripts that it ran, by the SHA-1 that the product has.
        self.scripts: dict[str, str] = {}
        self.steps = 0

    def root(self) -> Node:
        sight = Sight(BEGAN_US // 1000, {})
        return Node(BEGAN_US, sight, World(), (sight, World()))

    def after(self, node: Node, chosen: Iterable[Action]) -> Iterator[Taken]:
        """A step for each of these actions. All commands go to the server in one go."""
        calls, commands = list[tuple[Action, Call]](), list[bytes]()
        put, look = self.server.put(node.sight.data), self.server.look
        for action in chosen:
            if action.actor in ("clock", "redis"):
                yield self._without_command(node, action)
                continue
            call = call_of(action, self.scenario, node.world, node.sight.now)
            calls.append((action, call))
            command = self._command(call)
            commands += [put, _NO_ROOM if action.full else _ROOM, command, _ROOM, look, command, look]
        now_us = node.now_us + 1
        self.server.at(now_us)
        replies = batched(self.server.ask_all(commands), 7, strict=True)
        for (action, call), (*_, reply, _, looked, again, looked_again) in zip(calls, replies, strict=True):
            if isinstance(reply, Refused) and not action.full:
                raise RuntimeError(f"{action} after {Found('', node.history)}: {reply}")
            answer = reply if isinstance(reply, Refused) else call.answer(reply)
            sight = seen(now_us // 1000, looked)
            is_same = seen(now_us // 1000, looked_again).same(sight)
            yield self._stepped(node, action, reply, answer, now_us, sight, is_same, again == reply)

    def _command(self, call: Call) -> bytes:
        word, *rest = call.command()
        return packed(word, self._loaded(rest[0]), *rest[1:]) if word == "EVALSHA" else packed(word, *rest)

    def _loaded(self, sha: str) -> str:
        """The SHA-1 of that script as the server has it, changed or not."""
        if sha not in self.scripts:
            (name, text), (script, old, new) = SCRIPTS[sha], self._changed
            changed = text.replace(old, new) if script in (name, "record", "lease") else text
            self.scripts[sha] = self.server.load(changed)
        return self.scripts[sha]

    def _without_command(self, node: Node, action: Action) -> Taken:
        now_us = node.now_us + 1 + (action.about * 1000 if action.verb == "jumps" else 0)
        is_lost = action.verb == "failover"
        sight, lost = node.replicated if is_lost else (node.sight, node.world)
        data = {key: value for key, value in sight.data.items() if not 0 <= value[0] <= now_us // 1000}
        after, found = self._stepped(node, action, "", None, now_us, Sight(now_us // 1000, data))
        return after._replace(world=after_failover(after.world, lost) if is_lost else after.world), found

    def _stepped(
        self, node: Node, action: Action, reply: Any, answer: Any, now_us: int, sight: Sight, *repeat: bool
    ) -> Taken:
        self.steps += 1
        world = learnt(action, self.scenario, node.world, answer, sight)
        step = Step(self.scenario, action, answer, node.sight, sight, node.world, world, *repeat)
        replicated = node.replicated if step.unchanged else (node.sight, node.world)
        after = Node(now_us, sight, world, replicated, (*node.history, (action, reply)))
        return after, [Found(promise, after.history) for promise in broken(step)]

    def step(self, node: Node, action: Action) -> Taken:
        return next(iter(self.after(node, [action])))

    def drained(self, node: Node) -> list[Found]:
        """What is found on the way to the end, with one worker left that works."""
        found = list[Found]()

        def does(actor: str, verb: str, about: int = 0) -> Node:
            after, faults = self.step(node, Action(actor, verb, about))
            found.extend(faults)
            return after

        for _ in range(8):
            node = does("clock", "jumps", self.scenario.crew[0][0])
            for verb in ("promote", *["sweep", "claim"] * 3):
                if Action("w1", verb) in chores("w1", node.world, node.sight):
                    node = does("w1", verb)
                while todo := [at for at, held in enumerate(node.world.held) if held.worker == "w1" and not held.sent]:
                    node = does("w1", "complete" if node.world.held[todo[0]].lease else "start", todo[0])
            if not node.sight.entries and not node.sight.value("scheduled"):
                break
        return found + self._stepped(node, _END, "", None, node.now_us, node.sight)[1]
