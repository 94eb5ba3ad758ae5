"""Rules that no linter knows."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import side_by_side
from tests.contract.repository import ROOT, files, name_of, text_of
from tools.docs.queue import SHARED, top_comment

MAX_LINES = 300
READS_THE_ENVIRONMENT = "chalicelib/wiring.py"
#: A runtime: it reads what Lambda sets for any runtime, and writes what libraries read. These are no settings.
IS_A_RUNTIME = "chalicelib/streaming/__main__.py"
_SHIPPED = [path for path in files(".py") if name_of(path).startswith(("chalicelib/", "vendor/", "app.py"))]
_TESTS = [path for path in files(".py") if name_of(path).startswith("tests/")]


def _names(path: Path) -> Iterator[tuple[int, str]]:
    """Every dotted name and import in a file, with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute | ast.Name):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _uses(paths: list[Path], pattern: str) -> list[str]:
    return [
        f"{name_of(path)}:{line} {name}" for path in paths for line, name in _names(path) if re.search(pattern, name)
    ]


def test_only_wiring_reads_the_environment() -> None:
    others = [path for path in _SHIPPED if name_of(path) not in {READS_THE_ENVIRONMENT, IS_A_RUNTIME}]

    assert _uses(others, r"\bos\.(environ|getenv)\b") == []
    assert _uses([ROOT / READS_THE_ENVIRONMENT], r"\bos\.environ\b")


def test_what_ships_does_not_print() -> None:
    worker = [path for path in files(".py") if name_of(path).startswith("lambda_router_worker/")]

    assert _uses([*_SHIPPED, *worker], r"^print$") == []


def test_no_test_patches() -> None:
    fix = "hand in a fake, with chalicelib.wiring.use or as an argument"

    assert _uses(_TESTS, r"\bmock\.|\bunittest\.mock|^mocker\b") == [], fix


def test_modules_are_short() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in files(".py", ".lua") if path not in _TESTS}

    assert {name_of(path): count for path, count in lines.items() if count >= MAX_LINES} == {}


def test_folders_are_small() -> None:
    """At most 15 modules; of tests and benchmarks, which bring fixtures and rivals, 25."""
    counts = Counter(name_of(path.parent) for path in files(".py"))

    assert {
        name: count
        for name, count in counts.items()
        if count > (25 if name.startswith(("tests", "benchmarks")) else 15)
    } == {}


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w.$}>-])/(?:work|root|opt|tmp|home|Users)(?=/)")

    assert _lines_with(place) == []


def test_no_file_names_a_package_registry() -> None:
    # Whoever installs decides where packages come from: pip's and uv's settings.
    host = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|test\.pypi|--(?:extra-)?index-url|--find[-]links")

    assert _lines_with(host) == []


#: The names of services in policies; they end so in each partition that the stack can be in: only aws-cn has others
#: (Terraform's ``data.aws_service_principal``).
_PRINCIPALS = re.compile(r"\b(?:apigateway|dlm|ec2|events|lambda)\.amazonaws\.com\b")
#: Where an ARN or a host is only an example, or compared with chalicelib/partitions.py by a test.
_NO_CODE = re.compile(r"^\s*(?:examples=|error_message +=|audience: |#|//)")
_CODE = ("app.py", "chalicelib/", "vendor/", "lambda_router_worker/", "tools/", "terraform/", ".github/", "Makefile")


def _fixed_partitions(name: str, text: str) -> list[str]:
    if not name.startswith(_CODE) or "/tests/" in name or name.endswith(".md") or name == "chalicelib/partitions.py":
        return []
    fixed = re.compile(r"arn:aws[\w-]*:|\bamazonaws\.\w+")
    lines = enumerate(text.splitlines(), 1)
    return [
        f"{name}:{number} {line.strip()[:80]}"
        for number, line in lines
        if not _NO_CODE.match(line) and fixed.search(_PRINCIPALS.sub("", line))
    ]


def test_no_code_names_a_partition_or_its_suffix() -> None:
    fix = "take it from chalicelib/partitions.py, in Terraform from data.aws_partition"

    assert [line for path in files() for line in _fixed_partitions(name_of(path), text_of(path))] == [], fix


@pytest.mark.parametrize(
    "line",
    [
        'policy_arn = "arn:aws:iam::aws:policy/x"',
        'f"arn:aws-us-gov:s3:::{bucket}"',
        'url = f"https://cognito-idp.{region}.amazonaws.com/{pool}"',
        'audience = "sts.amazonaws.eu"',
        'Principal = { Service = "states.amazonaws.com" }',
    ],
)
def test_a_fixed_partition_is_noticed(line: str) -> None:
    assert _fixed_partitions("terraform/main.tf", f"# comment\n{line}\n")


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name_of(path)}:{number} {line.strip()[:80]}"
        for path in files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]


_SCRIPTS = [path for path in files(".lua") if path.name not in SHARED]
#: They put jobs in. Every other script ends, moves or reads them, and has to run when the memory is full.
_REFUSED_WHEN_FULL = {
    "chalicelib/jobs/lua/admit.lua",
    "lambda_router_worker/queue/lua/emit.lua",
    "lambda_router_worker/queue/lua/revive.lua",
}
#: Not writing allows it to run with a full memory too, and on a replica.
_WRITES_NOTHING = {
    "vendor/lambda_router_queue/lua/eviction.lua",
    "lambda_router_worker/queue/lua/letters.lua",
    "lambda_router_worker/queue/lua/stats.lua",
}
#: With flags that allow writes a replica would refuse it whole, and a look needs none.
#: The version of a server that refuses flags has to be read, too.
_READS_WHERE_NOBODY_WRITES = {"chalicelib/jobs/lua/settle.lua", "lambda_router_worker/checking/lua/server.lua"}

each_script = pytest.mark.parametrize("path", _SCRIPTS, ids=name_of)


@pytest.mark.parametrize("name", sorted(SHARED))
def test_a_shared_part_has_no_flags_and_no_arguments(name: str) -> None:
    (path,) = [path for path in files(".lua") if path.name == name]

    assert path.read_text().startswith("-- Shared by ")
    assert "ARGV[" not in path.read_text()


@each_script
def test_a_script_begins_with_its_flags(path: Path) -> None:
    flags = "#!lua" if name_of(path) in _REFUSED_WHEN_FULL else "#!lua flags=allow-oom"
    flags = "#!lua flags=no-writes" if name_of(path) in _WRITES_NOTHING else flags
    first = path.read_text().splitlines()[0]

    assert first.startswith("--") if name_of(path) in _READS_WHERE_NOBODY_WRITES else first == flags


@each_script
def test_a_scripts_comment_names_its_keys_arguments_and_answers(path: Path) -> None:
    for word in ("KEYS", "ARGV", "Answers"):
        assert re.search(rf"^{word} ", top_comment(path), re.MULTILINE), f"its top comment lacks '-- {word} …'"


@each_script
def test_a_script_uses_the_keys_and_arguments_that_its_comment_names(path: Path) -> None:
    program = path.read_text().partition("\n\n")[2]

    for kind in ("KEYS", "ARGV"):
        named = re.search(rf"^{kind}  (.*(?:\n .*)*)", top_comment(path), re.MULTILINE)
        assert named is not None
        used = {int(number) for number in re.findall(rf"{kind}\[(\d+)\]", program)}
        numbers = {int(number) for number in re.findall(r"(?<![\w-])(\d+)(?=[ .-])", named[1])}
        spans = [range(int(low), int(high) + 1) for low, high in re.findall(r"(\d+)-(\d+)", named[1])]
        known = numbers.union(*spans)
        assert used <= known, f"{kind}: the comment names {sorted(known)}, the script uses {sorted(used)}"


def test_scripts_about_one_job_have_the_keys_of_their_shared_part() -> None:
    lease = (ROOT / "lambda_router_worker/queue/lua/lease.lua").read_text()
    shared = re.search(r"^-- KEYS of each  (.*)$", lease, re.MULTILINE)
    assert shared is not None

    for path in _SCRIPTS:
        if re.search(r"\bread_open\(keys\.job\)|\benqueue\(keys\.", path.read_text()):
            assert f"KEYS  {shared[1]}" in top_comment(path), name_of(path)


def test_what_tests_are_grouped_by_exists() -> None:
    """A renamed file would have its dear fixture made in two processes, and nobody would see why it takes so long."""
    assert {path.parent.name for path in _TESTS}.issuperset(side_by_side.FOLDERS)
    assert {f"{path.parent.name}/{path.name}" for path in _TESTS}.issuperset(side_by_side.FILES)
    assert {side_by_side.group_of(name_of(path)) for path in _TESTS}.issuperset(side_by_side.LONGEST)
