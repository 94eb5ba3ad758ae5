"""Class and place of an exception, for the log. Its message may quote a prompt, and so may a source line."""

from collections.abc import Iterator
from types import CodeType, TracebackType

#: Places shown of a deep recursion: the first show how it began, the last where it was.
FIRST, LAST = 4, 12
#: Classes shown of an exception group.
MOST_CLASSES = 8


def facts(error: BaseException) -> dict[str, str]:
    """Return ``error`` and ``exception`` of a log line."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration | StopAsyncIteration):
        error = error.__cause__  # the exception before Python turned it into a RuntimeError (PEP 479)
    return {"error": _classes(error), "exception": "\n".join(_shortened(list(_of_traceback(error.__traceback__))))}


def place(code: CodeType, line: int | None) -> str:
    """Return a place in the code, in the form that every trace uses."""
    return f"{code.co_filename}:{line} in {code.co_qualname}"


def _classes(error: BaseException) -> str:
    """Return the class; for a group, such as ``ExceptionGroup[ValueError, SystemExit]``."""
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
