"""``docs/settings.md`` and ``.env.example``, from ``chalicelib.settings.Settings`` and the worker's options."""

import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import annotated_types
import click
from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from chalicelib.settings import Settings
from lambda_router_worker.cli import main as worker_command
from lambda_router_worker.cli_options import EnvironmentOnly
from tools.docs.markdown import NOTICE, code, table
from tools.docs.terraform import EMPTY, checks_of

#: The type of a value, by the name of the function in ``chalicelib/setting_values.py`` that checks it.
_CHECKED_BY: Mapping[str, str] = {
    "is_redis_url": "Redis URL, secret",
    "has_user_pools": "text",
    "is_https": "https URL",
    "is_https_origin": "https origin",
    "is_key_source": "https URL, path of a file, or JSON",
    "is_host": "host",
    "is_origin": "origin",
}

#: The type of a value that is parsed, by the name of the function that parses it.
_PARSED_BY: Mapping[str, str] = {"queues_by_model": "models, comma-separated"}

#: Checks of a whole list, beside the check of each element.
_OF_WHOLE_LISTS = frozenset({"are_origins"})

_PAGE = """# Settings

{notice}

The environment variables of the Lambda function. `chalicelib/settings.py` defines them, and
`chalicelib/job_settings.py` those of jobs. `.env.example` has the same list, and the stages in `.chalice/config.json`
give each a value.

An empty variable counts as unset. The function answers [misconfigured](errors.md#misconfigured) if a value is invalid,
or if an unknown variable has one of its prefixes (`COGNITO_…`, `ROUTER_…`, `REDIS_URL…`). Its log names the variable,
what was found and what is expected.

{settings}

¹ Also read when Chalice packages the app: {packaging}
shape the API itself (authorizer, scope, `OPTIONS` methods). Changing one requires a new deployment of the API.

The Redis URLs that the function and the worker accept: [operations.md](operations.md#redis).

## The worker

`lambda-router-worker` takes these options. If an option is omitted, it reads the environment variable beside it.
`lambda-router-worker --help` shows the same list.

{worker}

### Commands

Without a command the worker processes its queue. Each command does one thing and exits. It takes the Redis
URL, `--queue`, and `--json` for programs. [operations.md](operations.md#looking-at-the-queue) shows the output.

{commands}
"""

#: The sources of the Redis URL. The worker itself demands exactly one, so neither is marked as required.
_ONE_OF_TWO = frozenset({"redis_url", "redis_url_file"})


def page() -> str:
    *names, last = [code(name) for name in read_at_packaging()]
    return _PAGE.format(
        notice=NOTICE,
        settings=_settings_table(),
        packaging=f"{', '.join(names)} and {last}",
        worker=_worker_table(),
        commands=table(("Command", "What it does"), _commands(worker_command, "lambda-router-worker")),
    )


def env_example() -> str:
    """Return every variable below a comment that describes it; required ones have an example value."""
    intro = textwrap.wrap(
        "Written by `make docs` from chalicelib/settings.py, where every variable is defined; docs/settings.md also "
        "has their bounds. A variable that is commented out shows its default, or an example if it has none.",
        width=100,
    )
    blocks = ["\n".join(f"# {line}" for line in intro)]
    blocks += [_env_entry(name, field) for name, field in Settings.model_fields.items()]
    return "\n\n".join(blocks) + "\n"


def read_at_packaging() -> list[str]:
    """Return the names of the variables that ``Settings.surface`` reads."""
    environ = _Recorder()
    Settings.surface(environ)
    return [name for name in Settings.names() if name in environ.names]


class _Recorder(dict[str, str]):
    """An empty environment that records which names are read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return default


def _settings_table() -> str:
    packaging = read_at_packaging()
    rows = [
        (
            f'<a id="{name}"></a>{code(name.upper())}' + (" ¹" if name.upper() in packaging else ""),
            _kind(field),
            _default(name, field),
            _bounds(field),
            field.description or "",
            code(str(_example(field))) if _example(field) is not None else "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return table(("Variable", "Type", "Default", "Bounds", "Meaning", "Example"), rows)


def _kind(field: FieldInfo) -> str:
    """Return the type in words.

    Raises:
        KeyError: a new check has no words yet; add them to ``_CHECKED_BY``.
    """
    annotation = _without_none(field.annotation)
    named = [_CHECKED_BY[name] for name in checks_of(field) if name not in _OF_WHOLE_LISTS]
    if named:
        return named[0] + ("s, comma-separated" if typing.get_origin(annotation) is tuple else "")
    if typing.get_origin(annotation) is Literal:
        return "one of " + ", ".join(code(value) for value in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return "list, comma-separated"
    if typing.get_origin(annotation) is dict:
        parsers = [part.func.__name__ for part in field.metadata if isinstance(part, BeforeValidator)]
        return next((_PARSED_BY[name] for name in parsers if name in _PARSED_BY), "JSON object")
    return {int: "whole number", str: "text", SecretStr: "text, secret"}[annotation]


def _without_none(annotation: Any) -> Any:
    kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    if type(None) not in typing.get_args(annotation):
        return annotation
    return kinds[0].__origin__ if hasattr(kinds[0], "__metadata__") else kinds[0]


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if name in {"redis_url", "redis_url_parameter"}:
        return "**one of the two**"
    return code(str(field.default)) if field.default not in EMPTY else "unset"


def _bounds(field: FieldInfo) -> str:
    low = [part.ge for part in field.metadata if isinstance(part, annotated_types.Ge)]
    high = [part.le for part in field.metadata if isinstance(part, annotated_types.Le)]
    if low and high:
        return f"{low[0]:,} to {high[0]:,}"
    patterns = [part.pattern for part in field.metadata if getattr(part, "pattern", None)]
    if patterns:
        return code(patterns[0])
    least = [part.min_length for part in field.metadata if isinstance(part, annotated_types.MinLen)]
    return f"at least {least[0]}" if least else ""


def _example(field: FieldInfo) -> Any:
    return field.examples[0] if field.examples else None


def _env_entry(name: str, field: FieldInfo) -> str:
    required = field.is_required() or name == "redis_url"
    default = field.default if not required and field.default not in EMPTY else None
    value = default if default is not None else _example(field)
    kind, note = _kind(field), ""
    if kind.startswith("one of"):
        note = f"(O{kind.removeprefix('o')}.)"
    elif _bounds(field) and kind == "whole number":
        note = f"({_bounds(field)}.)"
    lines = [f"# {line}" for line in textwrap.wrap(f"{field.description} {note}".strip(), width=100)]
    return "\n".join([*lines, f"{'' if required else '#'}{name.upper()}={value}"])


def worker_options() -> list[click.Option]:
    """Return the options of a worker that processes its queue: not ``--version``, which no variable sets."""
    return [option for option in worker_command.params if isinstance(option, click.Option) and option.envvar]


def _worker_table() -> str:
    rows = []
    for option in worker_options():
        name = "" if isinstance(option, EnvironmentOnly) else code(option.opts[0])
        value = option.to_info_dict()["default"]
        default = "unset" if value is None else code(str(value))
        if option.name in _ONE_OF_TWO:
            default = "**one of the two**"
        bounds = f"{option.type.min:,} to {option.type.max:,}" if isinstance(option.type, click.IntRange) else ""
        rows.append((name, code(str(option.envvar)), default, bounds, option.help or ""))
    return table(("Option", "Variable", "Default", "Bounds", "Meaning"), rows)


def _commands(group: click.Group, called: str) -> Iterator[tuple[str, str]]:
    """Yield usage and purpose of every command, without the worker's own options."""
    own = {option.name for option in worker_options()}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{called} {name}")
        else:
            usage = [_usage(each, click.Context(command)) for each in command.params if each.name not in own]
            yield code(" ".join((called, name, *usage))), command.get_short_help_str(200)


def _usage(parameter: click.Parameter, context: click.Context) -> str:
    if not isinstance(parameter, click.Option):
        return parameter.make_metavar(context)
    return f"[{parameter.opts[0]}]" if parameter.is_flag else f"[{parameter.opts[0]} {parameter.make_metavar(context)}]"
