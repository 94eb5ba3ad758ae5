"""The twelve faults: how each begins, what goes on while it lasts, how it ends."""

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import site as sites
from tests.faults.kit import FULL, Server, eventually, size
from tests.faults.proxy import CutLink, Fault, Fickle
from tests.faults.site import USER, Site, is_in_step
from tests.servers import free_port

#: What a large append-only file holds beside the jobs; about a second of reading in a full run.
PADDING_KEYS = size(100_000, 1_000_000)
#: So many at a time: a script of a million writes takes longer than a client waits.
PADDED_AT_ONCE = 50_000
_AGAIN_EVERY_SECONDS = 0.02
#: How long a fault lasts; one that says nothing lasts longer than anybody waits for an answer.
SECONDS = 2.0 if FULL else 0.4
SILENT_SECONDS = 2.0 if FULL else 1.7

type Action = Callable[[Site], Any]


def nothing(site: Site) -> None:
    """Nothing."""


@dataclass(frozen=True)
class Trouble:
    """A fault.

    Attributes:
        site: where it can happen.
        again: done over and over while it lasts.
        says: the error that the server has to have answered with; otherwise the fault was not met.
        prepare: done once, before anything is sent.
        seconds: how long it lasts.
    """

    site: Callable[[Path], AbstractContextManager[Site]]
    begin: Action = nothing
    end: Action = nothing
    again: Action = nothing
    says: str = ""
    prepare: Action = nothing
    seconds: float = SECONDS

    def happen(self, site: Site) -> float:
        """Begin it and end it; the moment at which it was over (monotonic clock)."""
        until = time.monotonic() + self.seconds
        self.begin(site)
        while time.monotonic() < until:
            self.again(site)
            time.sleep(_AGAIN_EVERY_SECONDS)
        self.end(site)
        return time.monotonic()


def _kill(site: Site) -> None:
    site.main.kill()


def _restart(site: Site) -> None:
    site.main.restart()


def _pause(site: Site) -> None:
    site.main.signal(signal.SIGSTOP)


def _resume(site: Site) -> None:
    site.main.signal(signal.SIGCONT)


def _pad(site: Site) -> None:
    for _ in range(PADDING_KEYS // PADDED_AT_ONCE):
        site.main.db.eval(f"for i = 1, {PADDED_AT_ONCE} do redis.call('SET', KEYS[1], i) end", 1, "padding")


def _crash_and_load(site: Site) -> None:
    site.main.kill()
    site.main.restart()


def _cut(site: Site) -> None:
    site.link().fault = CutLink()


def _be_fickle(site: Site) -> None:
    site.link().fault = Fickle()


def _mend(site: Site) -> None:
    site.link().fault = Fault()


def _promote_the_replica(site: Site) -> None:
    """A planned failover: writes wait until the replica has everything, then it takes over and the name moves."""
    old, new = site.main, site.replica()
    old.db.client_pause(10_000, all=False)
    eventually(lambda: _offset(new, "slave_repl_offset") == _offset(old, "master_repl_offset"), 10, "it has everything")
    new.db.replicaof("NO", "ONE")
    site.move_to(new)
    old.db.replicaof("127.0.0.1", new.port)
    old.db.client_unpause()


def _wait_for_the_replica(site: Site) -> None:
    eventually(lambda: site.main.db.info("replication").get("slave0", {}).get("state") == "online", 20, "in step again")


def _offset(server: Server, name: str) -> int:
    return int(server.db.info("replication")[name])


def _fail_over_in_the_cluster(site: Site) -> None:
    old, new = site.main, site.replica()
    new.db.execute_command("CLUSTER FAILOVER")
    eventually(lambda: new.db.info("replication")["role"] == "master", 10, "the replica has taken over")
    site.move_to(new)
    eventually(lambda: is_in_step(old), 20, "the former primary is a replica in step")


def _flush_scripts(site: Site) -> None:
    site.main.db.script_flush()


def _kill_clients(site: Site) -> None:
    site.main.db.client_kill_filter(_type="normal", skipme=True)


def _squeeze(site: Site) -> None:
    site.main.db.config_set("maxmemory-policy", "noeviction")
    site.main.db.config_set("maxmemory", 1)


def _widen(site: Site) -> None:
    site.main.db.config_set("maxmemory", 0)


def _demote(site: Site) -> None:
    site.main.db.replicaof("127.0.0.1", free_port())


def _promote(site: Site) -> None:
    site.main.db.replicaof("NO", "ONE")


def _turn_the_user_off(site: Site) -> None:
    site.main.db.execute_command("ACL", "SETUSER", USER, "off")
    site.main.db.execute_command("CLIENT", "KILL", "USER", USER)  # those that are logged in already


def _turn_the_user_on(site: Site) -> None:
    site.main.db.execute_command("ACL", "SETUSER", USER, "on")


TROUBLES = {
    "the server is paused": Trouble(sites.one_server, _pause, _resume, seconds=SILENT_SECONDS),
    "the server is killed and restarted from its AOF": Trouble(sites.one_server, _kill, _restart),
    "the link is cut": Trouble(sites.one_server_behind_a_proxy, _cut, _mend, seconds=SILENT_SECONDS),
    "a replica is promoted": Trouble(sites.primary_and_replica, _promote_the_replica, _wait_for_the_replica),
    "a cluster fails over": Trouble(sites.six_node_cluster, _fail_over_in_the_cluster),
    "scripts are flushed": Trouble(sites.one_server, again=_flush_scripts, says="NOSCRIPT"),
    "connections are killed": Trouble(sites.one_server, again=_kill_clients),
    "memory is full": Trouble(sites.one_server, _squeeze, _widen, says="OOM"),
    "the server is loading": Trouble(sites.one_server, _crash_and_load, says="LOADING", prepare=_pad),
    "the primary is demoted": Trouble(sites.one_server, _demote, _promote, says="READONLY"),
    "replies are dropped, slow and sliced": Trouble(sites.one_server_behind_a_proxy, _be_fickle, _mend),
    "the callers' user is off": Trouble(sites.one_server, _turn_the_user_off, _turn_the_user_on, says="WRONGPASS"),
}
