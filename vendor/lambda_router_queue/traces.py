"""Class and place of an exception, for the log. Its own text may quote a prompt, and so may a line of the source."""

from collections.abc import Iterator
from types import CodeType, TracebackType

#: Places shown of a deep recursion: the first say how it began, the last where it stood.
FIRST, LAST = 4, 12
#: Classes shown of a group of exceptions.
MOST_CLASSES = 8


def facts(error: BaseException) -> dict[str, str]:
    """``error`` and ``exception`` of a line of the log."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration | StopAsyncIteration):
        error = error.__cause__  # what left a coroutine, before Python made a RuntimeError of it (PEP 479)
    return {"error": _classes(error), "exception": "\n".join(_shortened(list(_of_traceback(error.__traceback__))))}


def place(code: CodeType, line: int | None) -> str:
    """A place in the code, as every trace has it."""
    return f"{code.co_filename}:{line} in {code.co_qualname}"


def _classes(error: BaseException) -> str:
    """``ExceptionGroup[ValueError, SystemExit]`` of a group."""
    name = type(error).__name__
    if not isinstance(error, BaseExceptionGroup):
        return name
    inner = list(dict.fromkeys(type(member).__name__ for member in error.exceptions))
    return f"{name}[{', '.join(inner[:MOST_CLASSES])}{', …' if len(inner) > MOST_CLASSES else ''}]"


def _of_traceback(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield place(trace.tb_frame.f_code, trace.tb_lineno)
        trace = trace.tb_next


def _shortened(places: list[str]) -> list[str]:
    between = len(places) - FIRST - LAST
    return places if between <= 0 else [*places[:FIRST], f"… {between} more …", *places[-LAST:]]
