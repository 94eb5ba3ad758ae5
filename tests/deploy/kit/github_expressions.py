"""GitHub's expressions, as far as the workflows use them.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

import re
from collections.abc import Mapping
from typing import Any

_PARTS = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<sign>&&|\|\||==|!=|!|\(|\)|,)|(?P<call>\w+(?=\())|(?P<name>[\w.-]+)|(?P<space>\s+)"
)
_SIGNS = {"&&": " and ", "||": " or ", "!": " not "}
_STATUS = ("success(", "failure(", "always(", "cancelled(")


def filled(text: str, contexts: Mapping[str, Any], *, failed: bool = False) -> str:
    """The text with a value in place of each ``${{ … }}``."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: _as_text(value(found[1], contexts, failed=failed)), text)


def holds(condition: str, contexts: Mapping[str, Any], *, failed: bool) -> bool:
    """Whether a step or job with this ``if:`` runs; one that asks for no status wants success."""
    inside = condition.strip().removeprefix("${{").removesuffix("}}")
    wants_success = not any(function in inside for function in _STATUS)
    return bool(value(inside, contexts, failed=failed)) and not (failed and wants_success)


def value(expression: str, contexts: Mapping[str, Any], *, failed: bool) -> Any:
    """``&&`` and ``||`` give one of their operands, as Python's ``and`` and ``or`` do; what is not there is empty."""
    functions = {
        "success": lambda: not failed,
        "failure": lambda: failed,
        "always": lambda: True,
        "startsWith": lambda text, start: str(text).lower().startswith(start.lower()),
        "get": lambda path: _looked_up(contexts, path),
    }
    return eval("".join(_python(expression)), {"__builtins__": {}}, functions)


def _python(expression: str) -> list[str]:
    parts, at = [], 0
    while at < len(expression):
        found = _PARTS.match(expression, at)
        assert found, f"an expression that the tests cannot read: {expression}"
        parts.append(_part(found))
        at = found.end()
    return parts


def _part(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "text":
            return repr(found[0][1:-1].replace("''", "'"))
        case "sign":
            return _SIGNS.get(found[0], found[0])
        case "name":
            return f"get({found[0]!r})"
        case _:
            return " " if found.lastgroup == "space" else found[0]


def _looked_up(contexts: Mapping[str, Any], path: str) -> Any:
    node: Any = contexts
    for name in path.split("."):
        node = node.get(name, "") if isinstance(node, Mapping) else ""
    return node


def _as_text(found: Any) -> str:
    return str(found).lower() if isinstance(found, bool) else str(found)
