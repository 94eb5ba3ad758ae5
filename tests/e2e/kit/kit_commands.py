"""``lambda-router`` as a process: with pipes, or on a terminal of its own."""

import json
import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lambda_router.servers import Server
from lambda_router.store import Credentials
from tests.patience import eventually
from tools.stack.repository import ROOT

#: Makes the terminal the controlling one, so that Ctrl-C on it is SIGINT, and becomes the command.
_TAKES_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
FAR = 4_000_000_000.0


def make_home(folder: Path, url: str, token: str) -> Path:
    """A folder of the kit with a login to one server, whose token it never renews."""
    folder.mkdir(exist_ok=True)
    server = Server("there", url, f"{url}/issuer", "client", ("scope",), f"{url}/token")
    listed = {"format": 1, "default": "there", "servers": [asdict(server)]}
    (folder / "servers.json").write_text(json.dumps(listed))
    tokens = folder / "there.tokens"
    tokens.write_text(json.dumps(asdict(Credentials(token, 0.0, FAR))))
    tokens.chmod(0o600)
    return folder


def environ_of(home: Path, **more: str) -> dict[str, str]:
    environ = os.environ  # noqa: TID251  for children
    kept = {name: value for name, value in environ.items() if not name.startswith("LAMBDA_ROUTER_")}
    own = {"LAMBDA_ROUTER_HOME": str(home), "PYTHONPATH": str(ROOT / "client"), "TERM": "xterm"}
    return kept | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"} | own | more


def run_kit(
    home: Path, *arguments: str, given: bytes | None = None, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """The command to its end, with pipes. Without ``given`` its standard input is empty and no pipe."""
    ran = subprocess.run(
        [sys.executable, "-m", "lambda_router", *arguments],
        env=environ_of(home, **environ),
        stdin=subprocess.DEVNULL if given is None else None,
        input=given,
        capture_output=True,
        timeout=50,
        check=False,
    )
    return subprocess.CompletedProcess(ran.args, ran.returncode, ran.stdout.decode(), ran.stderr.decode())


@dataclass
class OnTerminal:
    """A command on a terminal. ``shown`` is what came to the terminal, ``piped`` what went to a pipe instead."""

    process: "subprocess.Popen[bytes]"
    master: int
    shown: str = ""
    piped: str = ""

    def press_ctrl_c(self) -> None:
        os.write(self.master, b"\x03")

    def shows(self, text: str) -> bool:
        """Whether the terminal shows it within a while."""
        return bool(eventually(lambda: text in self.shown, 20))

    def pipes(self, text: str) -> bool:
        return bool(eventually(lambda: text in self.piped, 20))

    def end(self) -> int:
        return self.process.wait(30)


@contextmanager
def on_terminal(
    home: Path, *arguments: str, columns: int = 100, piped: bool = False, **environ: str
) -> Iterator[OnTerminal]:
    """The command with the terminal as its controlling one. ``piped``: its standard output is a pipe."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    process = subprocess.Popen(
        [sys.executable, "-ISc", _TAKES_TERMINAL, sys.executable, "-m", "lambda_router", *arguments],
        env=environ_of(home, **environ),
        stdin=slave,
        stdout=subprocess.PIPE if piped else slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    running = OnTerminal(process, master)
    readers = [threading.Thread(target=_listen, args=(running, master, "shown"), daemon=True)]
    if process.stdout is not None:
        readers.append(threading.Thread(target=_listen, args=(running, process.stdout.fileno(), "piped"), daemon=True))
    for reader in readers:
        reader.start()
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(10)
        for reader in readers:
            reader.join(10)
        os.close(master)
        if process.stdout is not None:
            process.stdout.close()


def _listen(running: OnTerminal, descriptor: int, where: str) -> None:
    content = b""
    with suppress(OSError):  # a terminal whose last process has ended
        while piece := os.read(descriptor, 65_536):
            content += piece
            setattr(running, where, content.decode(errors="replace"))
