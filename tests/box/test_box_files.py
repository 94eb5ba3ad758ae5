"""What a box gets, as far as it can be judged by reading: the units, the compose file, the Containerfile."""

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest

from chalicelib.job_settings import JobSettings
from lambda_router_worker.cli import main
from tests.box.compose import DOCUMENT, FILE, WORKER, variables
from tests.contract.repository import ROOT, fences, page
from tools.docs.settings import worker_options

FOLDER = ROOT / "packages/worker/systemd"
UNIT = FOLDER / "lambda-router-worker@.service"
DROP_INS = sorted(FOLDER.glob("*.conf"))
PROGRAM = "/usr/local/bin/lambda-router-worker"
AUDIT = ROOT / ".local/audit/bin"
#: What `systemd-analyze security` may say of the unit, and of it with each drop-in. Without hardening it says 9.6.
MOST_EXPOSED = {"": 1.5, "api-key": 1.5, "growing-pauses": 1.5, "gpu": 2.0}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze on PATH: this is no Linux with systemd"
)
needs_audit = pytest.mark.skipif(not AUDIT.is_dir(), reason="no checkers here: make audit-tools")


def directives(path: Path) -> dict[str, list[str]]:
    """The values of each name in a unit, in their order."""
    found = defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE):
        found[name].append(value)
    return found


def seconds(text: str) -> int:
    """A duration as systemd and compose write it, such as ``330`` or ``5m30s``."""
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s?)?", text).groups()  # type: ignore[union-attr]
    return int(minutes or 0) * 60 + int(rest or 0)


def command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command of the worker's program that those words call, and its options among them."""
    found: click.Command = main
    if words and isinstance(found, click.Group) and words[0] in found.commands:
        found, words = found.commands[words[0]], words[1:]
    return found, [word.partition("=")[0] for word in words if word.startswith("--")]


def options(found: click.Command) -> set[str]:
    return {name for each in found.params for name in each.opts} | {"--help"}


# The unit


def installed(folder: Path, *drop_ins: Path) -> Path:
    """The unit for one model as a box has it, with a program that is there."""
    folder.mkdir(exist_ok=True)
    path = folder / "lambda-router-worker@tinyllama.service"
    program = folder / "program"
    program.symlink_to(sys.executable)  # whose own path may have a space, which a unit would have to quote
    path.write_text(UNIT.read_text().replace(PROGRAM, str(program)))
    below = folder / f"{path.name}.d"
    below.mkdir()
    for each in drop_ins:
        shutil.copy(each, below)
    return path


def verified(path: Path) -> list[str]:
    """The lines that systemd has to say about a unit, and about no other."""
    words = ["systemd-analyze", "verify", "--recursive-errors=no", path]
    return subprocess.run(words, check=False, capture_output=True, text=True).stderr.splitlines()


#: What systemd before 254 says about the one drop-in that needs 254; it then ignores both lines.
_TOO_NEW = re.compile(r"growing-pauses\.conf:\d+: Unknown key.* 'Restart(Steps|MaxDelaySec)'")


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda path: path.stem if path else "alone")
def test_systemd_understands_the_unit_and_each_drop_in(drop_in: Path | None, tmp_path: Path) -> None:
    said = verified(installed(tmp_path / "units", *([drop_in] if drop_in else [])))

    assert [line for line in said if not _TOO_NEW.search(line)] == []


@needs_systemd
def test_a_mistake_in_the_unit_is_noticed(tmp_path: Path) -> None:
    path = installed(tmp_path / "units")
    path.write_text(path.read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))

    assert "ProtectHomes" in "".join(verified(path))


def exposure(path: Path) -> float:
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", path]
    ran = subprocess.run(words, check=False, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for .*: (\d+\.\d)", ran.stdout)
    assert found is not None, ran.stdout + ran.stderr
    return float(found[1])


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda path: path.stem if path else "alone")
def test_the_unit_is_hardly_exposed(drop_in: Path | None, tmp_path: Path) -> None:
    path = installed(tmp_path / "units")
    text = path.read_text() + (drop_in.read_text() if drop_in else "")  # offline it reads no folder of drop-ins
    path.write_text(text)
    plain = tmp_path / "plain.service"
    plain.write_text(f"[Service]\nExecStart={sys.executable}\n")

    assert exposure(path) <= MOST_EXPOSED[drop_in.stem if drop_in else ""]
    assert exposure(plain) > 9


def test_every_drop_in_is_judged_and_in_the_pages_table() -> None:
    section = page("docs/worker.md").partition("\n### Drop-ins\n")[2].partition("\n### ")[0]

    assert {path.stem for path in DROP_INS} == set(MOST_EXPOSED) - {""}
    assert set(re.findall(r"^\| `([\w-]+)\.conf` \|", section, re.MULTILINE)) == {path.stem for path in DROP_INS}


@pytest.mark.parametrize("name", ["ExecStart", "ExecStartPre"])
def test_the_units_commands_have_the_options_that_they_name(name: str) -> None:
    (line,) = directives(UNIT)[name]
    words = shlex.split(line.lstrip("-"))
    found, given = command(words[1:])

    assert words[0] == PROGRAM
    assert given
    assert set(given) <= options(found)
    assert found.name == {"ExecStart": "main", "ExecStartPre": "check"}[name]


def test_the_findings_never_stop_the_start_and_are_the_only_command_before_it() -> None:
    """Before 254, systemd gives credentials to the first such command and to the worker, and to no others."""
    (line,) = directives(UNIT)["ExecStartPre"]

    assert line.startswith("-")


def test_variables_of_the_unit_and_its_drop_ins_are_the_workers() -> None:
    known = {str(each.envvar) for each in worker_options()} | {"HOME"}
    set_here = {value.partition("=")[0] for path in (UNIT, *DROP_INS) for value in directives(path)["Environment"]}

    assert set_here <= known
    assert "WORKER_API_KEY_FILE" in set_here


def test_a_stop_takes_longer_than_a_job_may() -> None:
    longest = JobSettings.model_fields["router_job_timeout_seconds"].default

    assert seconds(directives(UNIT)["TimeoutStopSec"][0]) > longest
    assert seconds(WORKER["stop_grace_period"]) > longest


def test_a_pause_between_restarts_that_every_systemd_knows() -> None:
    settings = directives(UNIT)

    assert settings["Restart"] == ["always"]
    assert settings["StartLimitIntervalSec"] == ["0"], "systemd would give up after five restarts"
    assert not {"RestartSteps", "RestartMaxDelaySec"} & settings.keys(), "254 and later: they stand in a drop-in"


def test_only_files_that_root_alone_reads_bring_secrets() -> None:
    text = UNIT.read_text()

    assert directives(UNIT)["LoadCredential"] == ["redis-url:/etc/lambda-router/redis-url"]
    assert not re.search(r"rediss?://|REDIS_URL=|API_KEY=", text)


# Containers


@needs_audit
def test_the_compose_file_fits_its_schema() -> None:
    assert schema_says(FILE) == ""


@needs_audit
def test_a_mistake_in_the_compose_file_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text().replace("read_only:", "readonly:"))

    assert "readonly" in schema_says(wrong)


def schema_says(path: Path) -> str:
    words = [AUDIT / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    ran = subprocess.run(words, check=False, capture_output=True, text=True)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


@needs_audit
def test_hadolint_finds_nothing_in_the_containerfile() -> None:
    words = [AUDIT / "hadolint", "--no-color", ROOT / "packages/worker/Containerfile"]
    ran = subprocess.run(words, check=False, capture_output=True, text=True)

    assert (ran.returncode, ran.stdout) == (0, "")


def test_without_an_engine_make_image_names_what_it_looked_for() -> None:
    words = [sys.executable, "-m", "tools.publish.image"]
    ran = subprocess.run(words, cwd=ROOT, env={"PATH": ""}, check=False, capture_output=True, text=True)

    assert ran.returncode == 1
    assert re.findall(r"(\w+): not installed", ran.stderr) == ["docker", "podman", "buildah"]


def test_the_workers_container_may_hardly_do_anything() -> None:
    assert WORKER["read_only"] is True
    assert WORKER["cap_drop"] == ["ALL"]
    assert WORKER["security_opt"] == ["no-new-privileges:true"]
    assert WORKER["init"] is True
    assert not {"ports", "privileged", "network_mode", "volumes", "user"} & WORKER.keys()


def test_the_workers_variables_are_its_options() -> None:
    known = {str(each.envvar) for each in worker_options()}

    assert set(WORKER["environment"]) <= known
    with pytest.raises(KeyError, match="MODEL"):
        variables({})


def test_secrets_are_files_and_the_worker_is_told_where() -> None:
    told = variables({"MODEL": "m"})

    assert {told["WORKER_REDIS_URL_FILE"], told["WORKER_API_KEY_FILE"]} == {
        f"/run/secrets/{n}" for n in WORKER["secrets"]
    }
    assert {name: each["file"] for name, each in DOCUMENT["secrets"].items()} == {
        name: f"./secrets/{name}" for name in WORKER["secrets"]
    }


def model_servers() -> dict[str, dict[str, Any]]:
    return {name: each for name, each in DOCUMENT["services"].items() if name != "worker"}


def test_each_model_server_has_its_profile_and_the_address_that_the_worker_uses() -> None:
    assert variables({"MODEL": "m"})["WORKER_BACKEND"] == "http://model:8080/v1"
    for name, service in model_servers().items():
        assert service["profiles"] == [name]
        assert service["networks"]["model"]["aliases"] == ["model"]
        assert "ports" not in service
        assert service["cap_drop"] == ["ALL"]
        assert str(service["environment"].get("OLLAMA_HOST", service["environment"].get("LLAMA_ARG_PORT"))).endswith(
            "8080"
        )


def test_a_profile_reserves_gpus_unless_its_name_says_cpu() -> None:
    reserving = {name for name, service in model_servers().items() if service["deploy"]}

    assert reserving == {name for name in model_servers() if not name.endswith("-cpu")}


def test_profiles_and_variables_of_the_compose_file_are_in_the_pages_tables() -> None:
    section = page("docs/worker.md").partition("\n## In containers\n")[2].partition("\n## ")[0]
    first_columns = " ".join(re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE))
    listed = set(re.findall(r"`([\w-]+)`", first_columns))

    assert {name for name in listed if name.islower()} == set(model_servers())
    interpolated = set(re.findall(r"\$\{(\w+)", FILE.read_text())) - {"MODEL_FILE"}
    assert {name for name in listed if name.isupper()} == interpolated


def test_the_pages_commands_for_containers_name_what_is_there() -> None:
    text = "\n".join(fences(page("docs/worker.md").partition("\n## In containers\n")[2].partition("\n## ")[0], "sh"))
    (user,) = re.findall(r"^USER (\d+):", page("packages/worker/Containerfile"), re.MULTILINE)

    assert set(re.findall(r"chown (\S+)", text)) == {f"{user}:0"}
    assert set(re.findall(r"--profile (\S+)", text)) <= set(model_servers())
    assert set(re.findall(r"compose (?:exec|run --rm|logs --follow) (\S+)", text)) == {"ollama", "worker"}
    assert set(re.findall(r"secrets/([\w-]+)", text)) == set(DOCUMENT["secrets"])


# The page's commands


def test_the_pages_calls_of_the_worker_have_the_options_that_they_name() -> None:
    text = "\n".join(fences(page("docs/worker.md"), "sh")).replace("\\\n", " ")
    calls = [shlex.split(words) for words in re.findall(r"lambda-router-worker ((?:check|stats|--)[^)\n;|]*)", text)]

    assert len(calls) >= 3
    for words in calls:
        found, given = command(words)
        assert set(given) <= options(found), words
