"""Does what a check printed as its fix: shell commands in a shell, the AWS CLI's by the same call of boto3."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.deploy.cloud import inventory


def do(command: str, root: Path, url: str, environ: dict[str, str]) -> None:
    """Run it in that folder; what it exports or unsets is kept in ``environ``."""
    for part in command.split(" && "):
        if part.startswith("aws "):
            _call(shlex.split(part.replace('"$REDIS_URL"', "redis://example.com")), root, url)
        else:
            _shell(part, root, environ)


def _from_file(value: Any, root: Path) -> Any:
    is_file = isinstance(value, str) and value.startswith("file://")
    return (root / value.removeprefix("file://")).read_text() if is_file else value


def _shell(command: str, root: Path, environ: dict[str, str]) -> None:
    ran = subprocess.run(
        ["bash", "-ec", f"{command}; env -0"],
        cwd=root,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environ},
        check=True,
        capture_output=True,
        text=True,
    )
    variables = dict(entry.split("=", 1) for entry in ran.stdout.split("\0") if "=" in entry)
    kept = {
        name: value for name, value in variables.items() if name in environ or name.startswith(("AWS_", "TF_", "COG"))
    }
    environ.clear()
    environ.update(kept)


def _call(words: list[str], root: Path, url: str) -> None:
    """``aws SERVICE OPERATION --option value``; boto3 refuses what AWS would not understand."""
    service, operation, options = words[1].removesuffix("api"), words[2].replace("-", "_"), dict(_options(words[3:]))
    options.pop("Region", None)
    asked = inventory.client(service, url)
    names = asked.meta.service_model.operation_model(asked.meta.method_to_api_mapping[operation]).input_shape.members
    known = {name.lower(): name for name in names}
    given = json.loads(options.pop("CliInputJson", "{}"))
    given |= {known[name.lower()]: _from_file(value, root) for name, value in options.items()}
    getattr(asked, operation)(**given)


def _options(words: list[str]) -> Iterator[tuple[str, Any]]:
    for at, word in enumerate(words):
        if word.startswith("--"):
            value = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("--") else ""
            name = "".join(part.title() for part in word.removeprefix("--").split("-"))
            yield name, value if name == "CliInputJson" else _value(value)


def _value(text: str) -> Any:
    if text.startswith("["):
        return json.loads(text)
    if "=" in text and "://" not in text:
        return dict(pair.split("=", 1) for pair in text.split(","))
    return text or True
