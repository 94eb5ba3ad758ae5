"""The check that a package has the wheels of ``requirements.txt``, built for the function's Python and processor."""

import struct
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.stack.refusal import Refusal

_ELF_MACHINES = {62: "x86_64", 183: "arm64"}  # <elf.h>: EM_X86_64, EM_AARCH64
_MACHINE_FIELD = struct.Struct("<18xH")
_FIX = "choose a version in requirements/function.in that has a wheel for it, then make lock"


def refuse_wheels(folder: Path, requirements: str, architecture: str, runtime: str) -> None:
    """Raise Refusal if an unpacked package lacks a locked wheel, or has one that was built for something else."""
    wheels = {}
    for info in folder.glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        wheels[f"{canonicalize_name(name)}=={version}"] = info / "WHEEL"
    for wanted in locked(requirements):
        if wanted not in wheels:
            raise Refusal(f"{wanted} of requirements.txt is not in the package: {_FIX}")
        lines = wheels[wanted].read_text().splitlines()
        tags = [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")]
        if not any(_fits(tag, _abi(runtime)) for tag in tags):
            raise Refusal(f"{wanted} is built for {', '.join(tags)}, which {runtime} on Lambda cannot load: {_FIX}")
    for library in sorted(folder.rglob("*.so")):
        _refuse_library(library.relative_to(folder).as_posix(), library.read_bytes()[:20], architecture, runtime)


def locked(requirements: str) -> list[str]:
    """Return ``name==version`` of each line that applies to this Python."""
    lines = [line.removesuffix("\\").split(" --")[0].strip() for line in requirements.splitlines() if "==" in line]
    pins = [Requirement(line) for line in lines if not line.startswith(("#", "--"))]
    return [
        f"{canonicalize_name(pin.name)}{pin.specifier}" for pin in pins if pin.marker is None or pin.marker.evaluate()
    ]


def _fits(tag: str, abi: str) -> bool:
    python, built_for, platform = tag.split("-")
    if platform == "any":
        return built_for == "none" and "3" in python
    return "linux" in platform and built_for in {abi, "abi3", "none"}


def _refuse_library(name: str, head: bytes, architecture: str, runtime: str) -> None:
    machine = "another system"
    if head.startswith(b"\x7fELF"):
        machine = _ELF_MACHINES.get(_MACHINE_FIELD.unpack(head)[0], "another processor")
    if machine != architecture:
        raise Refusal(f"{name} is built for {machine} but the function runs on {architecture}: {_FIX}")
    tag = f".cpython-{_abi(runtime).removeprefix('cp')}-"
    if not any(part in name for part in (tag, ".abi3.so")):
        raise Refusal(f"{name} is not named for {runtime} ({tag}* or .abi3.so): {_FIX}")


def _abi(runtime: str) -> str:
    return "cp" + runtime.removeprefix("python").replace(".", "")
