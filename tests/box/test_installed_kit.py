"""The callers' kit in an empty home outside the repository: installed as its user would, logged in, typed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.box.installed import PIPX, UV, Home, environment_of, python
from tests.box.installed_kit import PYTHONS
from tests.client.played_router import PlayedRouter, playing, signed_in
from tools.publish import wheels

pytestmark = [pytest.mark.box, pytest.mark.timeout(600)]

TYPED = """
from openai import AsyncOpenAI, OpenAI

import lambda_router

client = OpenAI(base_url="https://host/prod/v1", api_key=lambda_router.token_provider())
other = AsyncOpenAI(base_url="https://host/prod/v1", api_key=lambda_router.async_token_provider("prod"))
try:
    client.models.list()
except (lambda_router.NotLoggedIn, lambda_router.ServerAway) as error:
    raise lambda_router.KitError(str(error)) from None
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheel, _ = wheels.build(tmp_path_factory.mktemp("dist"), project=wheels.KIT)
    return wheel


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def with_uv(home: Home, wheel: str, interpreter: Path) -> Path:
    home.run(UV, "tool", "install", "--quiet", "--python", interpreter, wheel)
    return home.folder / ".local/bin/lambda-router"


def with_pipx(home: Home, wheel: str, interpreter: Path) -> Path:
    home.run(PIPX, "install", "--quiet", "--python", interpreter, wheel)
    return home.folder / ".local/bin/lambda-router"


def with_lowest(home: Home, wheel: str, interpreter: Path) -> Path:
    """The oldest versions that the wheel admits of what it names."""
    home.run(UV, "venv", "--quiet", "--python", interpreter, home.folder / "venv")
    install = (UV, "pip", "install", "--quiet", "--resolution", "lowest-direct", wheel)
    home.run(*install, VIRTUAL_ENV=str(home.folder / "venv"))
    return home.folder / "venv/bin/lambda-router"


WAYS = {"uv tool": with_uv, "pipx": with_pipx, "lowest": with_lowest}
CASES = [*(("uv tool", version) for version in PYTHONS), ("pipx", "3.13"), ("lowest", "3.10"), ("lowest", "3.13")]


@pytest.mark.parametrize(("way", "version"), CASES, ids=[f"{way} {version}" for way, version in CASES])
def test_installed_in_an_empty_home_it_logs_in_and_prints_a_token(
    tmp_path: Path, cache: Path, wheel: Path, way: str, version: str
) -> None:
    interpreter = python(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} here")
    (tmp_path / "home").mkdir()
    home = Home(tmp_path / "home", cache)
    command = WAYS[way](home, str(wheel), interpreter)

    assert home.run(command, "--version").startswith("lambda-router ")
    with playing() as router:
        logged_in(home, command, router)
        assert home.run(command, "token").count(".") == 2
        home.run(command, "logout")
        assert router.counted["/oauth2/revoke"] == 1


def logged_in(home: Home, command: Path, router: PlayedRouter) -> None:
    """Log in as on a machine without a browser. The program has no keyring here, and its folders are the platform's."""
    typed = [str(command), "login", router.url, "--no-browser"]
    environ = home.environ | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(typed, cwd=home.folder, env=environ, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdin
        assert process.stderr
        address = next(line for line in process.stderr if "/oauth2/authorize?" in line).strip()
        process.stdin.write(f"{signed_in(address)}\n")
        process.stdin.close()
        said = process.stderr.read()
        assert process.wait(60) == 0, said
    (found,) = (home.folder / ".local/share/lambda-router").glob("*.tokens")
    assert found.stat().st_mode & 0o777 == 0o600


def test_the_surface_is_typed(tmp_path: Path, cache: Path, wheel: Path) -> None:
    interpreter = python("3.13")
    if interpreter is None:
        pytest.skip("no Python 3.13 here")
    (tmp_path / "home").mkdir()
    home = Home(tmp_path / "home", cache)
    command = with_lowest(home, str(wheel), interpreter)
    home.run(UV, "pip", "install", "--quiet", "openai", VIRTUAL_ENV=str(home.folder / "venv"))
    (home.folder / "program.py").write_text(TYPED)

    judged = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(environment_of(command))]
    ran = subprocess.run(
        [*judged, str(home.folder / "program.py")], cwd=home.folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
