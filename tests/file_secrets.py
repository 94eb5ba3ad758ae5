"""Searches files that are handed on (the package, Terraform's state) for what must not be in them."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.log_secrets import secrets_in

_KEYS: dict[str, re.Pattern[str]] = {
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}"),
    "a token of GitHub's": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b"),
}
#: Files that hold secrets, whatever is in them.
_NAMES = re.compile(r"(?:^|/)(?:\.env(?:\..+)?|.+\.(?:pem|key|p12|pfx|tfstate|tfplan)|\.netrc|credentials)$")


def secrets_in_text(text: str) -> Iterator[str]:
    """What kinds of secret a text holds."""
    yield from secrets_in(text)
    yield from (what for what, pattern in _KEYS.items() if pattern.search(text))


def secrets_below(folder: Path) -> dict[str, list[str]]:
    """The files below a folder that hold secrets, or are named like such that do, each with the kinds.

    Bytecode in ``__pycache__`` is passed over: its source stands beside it.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"):
        name = path.relative_to(folder).as_posix()
        kinds = ["a file for secrets"] if _NAMES.search(name) else []
        kinds += secrets_in_text(path.read_bytes().decode("latin-1"))
        if kinds:
            found[name] = kinds
    return found
