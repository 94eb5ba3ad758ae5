"""What Chalice said before it failed, without the parts of its traceback that name neither its step nor the fault."""

from collections.abc import Iterator

#: Below Chalice's own call of AWS, and above its commands; their frames fill the end of every traceback.
_LIBRARIES = ("/botocore/", "/urllib3/", "/click/", "/http/", "/socket.py")
_LINES = 40


def shortened(said: str) -> str:
    """The last lines, in which of a traceback there is left where Chalice was, the call that it made, and the error."""
    return "\n".join(list(_kept(said.strip().splitlines()))[-_LINES:])


def _kept(lines: list[str]) -> Iterator[str]:
    dropped = False
    for line in lines:
        if line.startswith('  File "'):
            dropped = any(library in line for library in _LIBRARIES)
        elif not line.startswith("    "):  # code and its markers are further in than what is said
            dropped = False
        if not dropped and line.strip(" ~^"):
            yield line
