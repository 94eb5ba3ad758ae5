"""Spin, the model checker: every order of steps of ``leases.pml`` within its bounds.

``python -m tests.model.spin``: the whole check, as docs/design-proof.md has it. ``python -m tests.model.spin
TOKENS_RESTART``: the shortest way to what a fault breaks, step by step.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

MODEL = Path(__file__).with_name("leases.pml")
#: What the search needs, and of which Debian package it is.
PROGRAMS = {"spin": "spin", "cc": "gcc"}
#: Steps of one history at most. A search that meets a longer one fails.
DEPTH = 100_000
#: Megabytes that one search may take.
MEMORY = 6_000

#: Bounds of the small check, beside which the model's own are large.
SMALL = {"GIVE_BACKS": 0, "RENEWALS": 0, "CRASHES": 0}


@dataclass(frozen=True)
class Search:
    """What to search.

    Attributes:
        bounds: the model's macros, by name; a fault has the value 1.
        liveness: search for a job that never ends, instead of a state that must not be.
        shortest: breadth first, so that what is found is found by the fewest steps.
        large: worth compiling for some seconds longer.
    """

    bounds: Mapping[str, int]
    liveness: bool = False
    shortest: bool = False
    large: bool = False

    def __str__(self) -> str:
        words = [f"{name}={value}" for name, value in self.bounds.items()]
        return " ".join(["liveness" if self.liveness else "safety", *words])


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        broken: the property that does not hold, or None.
        steps: a history that breaks it, in words.
        states: how many there are, or were met before something was found.
    """

    broken: str | None
    steps: Sequence[str]
    states: int


#: The whole check: two workers in full, three workers, two operators, two jobs, and each trouble of the server.
WHOLE = (
    *(
        Search(bounds, large=True)
        for bounds in (
            {},
            {"WORKERS": 3, "ATTEMPTS": 1, **SMALL},
            {"OPERATORS": 2, "REDRIVES": 2, **SMALL},
            {"JOBS": 2, "REDRIVES": 0, **SMALL},
            {"VANISHES": 1, **SMALL},
            {"FAILOVERS": 1, **SMALL},
            {"STEPS_BACK": 1, **SMALL},
        )
    ),
    *(
        Search(bounds, liveness=True, large=True)
        for bounds in (
            {"REDRIVES": 0},
            SMALL,
            {"WORKERS": 3, "ATTEMPTS": 1, **SMALL},
            {"VANISHES": 1, **SMALL},
        )
    ),
)


def lacking() -> str:
    """What has to be installed before anything can be searched; empty where all is there."""
    return " ".join(package for program, package in PROGRAMS.items() if shutil.which(program) is None)


def search(wanted: Search) -> Found:
    """Search all states, or until something is found.

    Raises:
        RuntimeError: the search could not be made, or did not come to its end.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy2(MODEL, folder)  # with its time: Spin warns within the trail where the model is newer
        macros = [f"-D{name}={value}" for name, value in {**wanted.bounds, "LIVENESS": int(wanted.liveness)}.items()]
        _run(folder, "spin", "-a", *macros, MODEL.name)
        _run(
            folder,
            "cc",
            "-O2" if wanted.large else "-O0",
            "-w",
            f"-DMEMLIM={MEMORY}",
            *_kind_of_search(wanted),
            "-o",
            "pan",
            "pan.c",
        )
        said = _run(folder, "./pan", f"-m{DEPTH}", *(["-a", "-f"] if wanted.liveness else ["-noclaim"]))
        errors, states = (_number(pattern, said) for pattern in (r"errors: (\d+)", r"(\d+) states, stored"))
        if ("Search not completed" in said and not errors) or "max search depth too small" in said:
            raise RuntimeError(said)
        if not errors:
            return Found(None, [], states)
        trail = _run(folder, "spin", "-t", "-T", *macros, MODEL.name)
        return Found(*_read(trail, said), states)


def _kind_of_search(wanted: Search) -> Sequence[str]:
    if wanted.liveness:
        return ["-DNFAIR=4", "-DCOLLAPSE"]
    return ["-DSAFETY", "-DNOCLAIM", "-DBFS" if wanted.shortest else "-DCOLLAPSE"]


def _read(trail: str, said: str) -> tuple[str, Sequence[str]]:
    """The property that a trail breaks, and its steps in words."""
    lines = [line.strip() for line in trail.partition("\nspin: ")[0].splitlines()]
    lines = [line for line, _ in groupby(lines)]  # Spin prints some steps of a cycle twice
    steps = [line for line in lines if re.match(r"[WO]\d|the |its ", line) or "CYCLE" in line]
    if re.search(r"pan:\d+: acceptance cycle", said):
        return "a_job_never_ends", steps
    if re.search(r"pan:\d+: invalid end state", said):
        return "nobody_can_go_on", steps
    (broken,) = re.findall(r"BROKEN (\w+)", trail)
    return broken, steps


def _run(folder: Path, *command: str) -> str:
    ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if ran.returncode != 0 and command[0] != "./pan":
        raise RuntimeError(f"{' '.join(command)}: {ran.stdout}{ran.stderr}")
    return ran.stdout


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(text)
    return int(found[1])


def main(faults: Sequence[str]) -> int:
    if needed := lacking():
        sys.stderr.write(f"apt-get install {needed}\n")
        return 1
    searches = [Search({**SMALL, fault: 1}, shortest=True) for fault in faults] or WHOLE
    return 1 if [wanted for wanted in searches if _told(wanted).broken] else 0


def _told(wanted: Search) -> Found:
    began = time.monotonic()
    found = search(wanted)
    seconds = time.monotonic() - began
    lines = [f"{wanted}: {found.states} states, {seconds:.0f} s, {found.broken or 'nothing found'}"]
    lines += [f"  {number}. {step}" for number, step in enumerate(found.steps, 1)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
