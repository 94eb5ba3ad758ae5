"""Steps on a Valkey: it restores a state, runs the product's own command, and reads what came of it."""

from collections.abc import Iterable, Iterator
from itertools import batched, chain
from typing import Any, NamedTuple

from lambda_router_queue.redis.wire import Refused
from tests.model.product import SCRIPTS, Call
from tests.model.promises import Step, broken
from tests.model.server import BEGAN_US, Server, packed
from tests.model.sight import Sight, seen
from tests.model.world import CLAIMS, Action, Scenario, World, after_failover, call_of, chores, learnt

_NO_ROOM, _ROOM = (packed("CONFIG", "SET", "maxmemory", size) for size in (1, 0))
#: The last command is sent again, since its reply was lost; and nothing is left to do.
_AGAIN, _END = Action("everybody", "again"), Action("everybody", "ends")

#: Actions, and what the server replied.
type History = tuple[tuple[Action, Any], ...]


class Node(NamedTuple):
    """A state, and the way to it.

    ``replicated``: what a failover goes back to, before the last write. ``command``: the last, if it may be repeated.
    """

    now_us: int
    sight: Sight
    world: World
    replicated: tuple[Sight, World]
    history: History = ()
    command: bytes = b""


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
        """First the last command sent again, then a step for each of these actions; all go to the server in one go."""
        asked: list[tuple[Action, Call | None, bytes]] = [(_AGAIN, None, node.command)] if node.command else []
        for action in chosen:
            if action.actor in ("clock", "redis"):
                yield self._without_command(node, action)
            else:
                call = call_of(action, self.scenario, node.world, node.sight.now)
                asked.append((action, call, self._command(call)))
        now_us, put, look = node.now_us + 1, self.server.put(node.sight.data), self.server.look
        self.server.at(now_us)
        parts = [[put, _NO_ROOM if action.full else _ROOM, sent, _ROOM, look] for action, _, sent in asked]
        replies = batched(self.server.ask_all([*chain(*parts)]), 5, strict=True)
        for (action, call, sent), (_, _, reply, _, looked) in zip(asked, replies, strict=True):
            is_refused = isinstance(reply, Refused)
            if is_refused and not action.full:
                raise RuntimeError(f"{action} after {Found('', node.history)}: {reply}")
            answer = (*node.history[-1], reply) if call is None else reply if is_refused else call.answer(reply)
            after, found = self._stepped(node, action, reply, answer, now_us, seen(now_us // 1000, looked))
            may_repeat = call and not is_refused and action.verb not in CLAIMS
            yield after._replace(command=sent if may_repeat else b""), found

    def _command(self, call: Call) -> bytes:
        word, *rest = call.command()
        return packed(word, self._loaded(rest[0]), *rest[1:]) if word == "EVALSHA" else packed(word, *rest)

    def _loaded(self, sha: str) -> str:
        """The SHA-1 of that script as the server has it, changed or not."""
        if sha not in self.scripts:
            (name, text), (script, old, new) = SCRIPTS[sha], self._changed
            changed = text.replace(old, new) if script in (name, "record", "life", "lease") else text
            self.scripts[sha] = self.server.load(changed)
        return self.scripts[sha]

    def _without_command(self, node: Node, action: Action) -> Taken:
        now_us = node.now_us + 1 + (action.about * 1000 if action.verb == "jumps" else 0)
        is_lost = action.verb == "failover"
        sight, lost = node.replicated if is_lost else (node.sight, node.world)
        data = {key: value for key, value in sight.data.items() if not 0 <= value[0] <= now_us // 1000}
        after, found = self._stepped(node, action, "", None, now_us, Sight(now_us // 1000, data))
        return after._replace(world=after_failover(after.world, lost) if is_lost else after.world), found

    def _stepped(self, node: Node, action: Action, reply: Any, answer: Any, now_us: int, sight: Sight) -> Taken:
        self.steps += 1
        world = learnt(action, self.scenario, node.world, answer, sight)
        step = Step(self.scenario, action, answer, node.sight, sight, node.world, world)
        replicated = node.replicated if step.unchanged else (node.sight, node.world)
        after = Node(now_us, sight, world, replicated, (*node.history, (action, reply)))
        return after, [Found(promise, after.history) for promise in broken(step)]

    def step(self, node: Node, action: Action) -> Taken:
        """That step, and what it breaks or the one before it when it is sent again."""
        taken = list(self.after(node, [action]))
        after = next(after for after, _ in taken if after.history[-1][0] == action)
        return after, [fault for _, faults in taken for fault in faults]

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
