"""Runs a line that a finding prints, as a person would by pasting it, without the AWS CLI and without an account.

``aws`` lines become the call that the AWS CLI would make, with botocore's own names of operations and parameters.
"""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore import xform_name

from tests.deploy.cloud.inventory import client

type Runner = Callable[[list[str]], None]


@dataclass(frozen=True)
class Shell:
    """A shell at the root of a repository.

    Attributes:
        root: where relative paths begin.
        aws_url: moto's.
        programs: what stands for each program, by the words that a command begins with; it gets all words.
    """

    root: Path
    aws_url: str
    programs: Mapping[str, Runner]

    def run(self, line: str) -> None:
        """Every command of the line, in order; one that nothing stands for fails the test."""
        for command in line.split(" && "):
            words = shlex.split(command)
            if words[0] == "aws":
                self._aws(*words[1:])
                continue
            name = next((name for name in self.programs if command.startswith(name)), None)
            assert name is not None, f"no program stands for: {command}"
            self.programs[name](words)

    def _aws(self, service: str, action: str, *options: str) -> None:
        aws = client(service, self.aws_url)
        operation = next(name for name in aws.meta.service_model.operation_names if xform_name(name, "-") == action)
        members = aws.meta.service_model.operation_model(operation).input_shape.members
        given: dict[str, Any] = {}
        words = list(options)
        while words:
            option = words.pop(0).removeprefix("--")
            if option == "region":
                assert words.pop(0) == aws.meta.region_name
                continue
            name = next(name for name in members if xform_name(name, "-") == option)
            kind = members[name].type_name
            given[name] = True if kind == "boolean" else self._typed(kind, words.pop(0))
        getattr(aws, xform_name(operation))(**given)

    def _typed(self, kind: str, word: str) -> Any:
        if word.startswith("fileb://"):
            return (self.root / word.removeprefix("fileb://")).read_bytes()
        if kind == "structure":  # the AWS CLI's shorthand, as far as it is used
            name, _, value = word.partition("=")
            return {name: json.loads(value)}
        return int(word) if kind == "integer" else word
