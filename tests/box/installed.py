"""The worker's wheel, installed outside the repository into an empty home, as its user would."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.contract.repository import OWN_VARIABLES, ROOT

#: All that the wheel's metadata claims, and no others.
PYTHONS = ("3.12", "3.13")

UV = Path(sys.executable).with_name("uv")
PIPX = ROOT / ".local/audit/bin/pipx"
#: Variables that say where packages come from, and that stay as they are.
_PACKAGES = ("PIP_", "UV_", "SSL_", "REQUESTS_CA_BUNDLE", "HTTP", "NO_PROXY")


@dataclass(frozen=True)
class Home:
    """A home with nothing in it.

    Attributes:
        folder: where it is.
        cache: packages that were fetched for another home; only time is saved by it.
    """

    folder: Path
    cache: Path

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.upper().startswith(_PACKAGES)}  # noqa: TID251
        return kept | {
            "HOME": str(self.folder),
            "PATH": f"{self.folder}/.local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "PIP_CONFIG_FILE": _pip_config(),
            "PIP_CACHE_DIR": str(self.cache / "pip"),
            "UV_CACHE_DIR": str(self.cache / "uv"),
            "UV_LINK_MODE": "copy",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_SYSTEM_CERTS": "true",
        }

    def run(self, *command: str | Path, **variables: str) -> str:
        """What the command prints. Fails where its status is not 0."""
        ran = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            env=self.environ | variables,
            check=False,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran.stdout


def _pip_config() -> str:
    """The machine's own settings of pip, which say where packages come from: those of an empty home would be none."""
    places = (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf")
    return str(next((place for place in places if place.exists()), os.devnull))


def python(version: str) -> Path | None:
    """A Python of that version, such as ``3.12``; None where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"  # noqa: TID251
    hosted = Path(os.environ.get("RUNNER_TOOL_CACHE", "/nowhere")) / "Python"  # noqa: TID251 (GitHub's machines)
    named = [Path(found)] if (found := shutil.which(f"python{version}")) else []
    several = [*named, *pyenv.glob(f"{version}.*/bin/python"), *hosted.glob(f"{version}.*/*/bin/python")]
    return next((found for path in several if (found := _behind(path, version))), None)


def _behind(path: Path, version: str) -> Path | None:
    """The program itself if it is of that version: pyenv's names on PATH work in some folders only."""
    code = "import sys; print('%d.%d' % sys.version_info[:2], sys._base_executable)"
    said = subprocess.run([path, "-c", code], check=False, capture_output=True, text=True).stdout.split()
    return Path(said[1]) if said[:1] == [version] else None


def _with_uv(home: Home, wheel: str, interpreter: Path) -> Path:
    home.run(UV, "tool", "install", "--quiet", "--python", interpreter, wheel)
    return home.folder / ".local/bin/lambda-router-worker"


def _with_pipx(home: Home, wheel: str, interpreter: Path) -> Path:
    home.run(PIPX, "install", "--quiet", "--python", interpreter, wheel)
    return home.folder / ".local/bin/lambda-router-worker"


def _with_pip(home: Home, wheel: str, interpreter: Path) -> Path:
    home.run(interpreter, "-m", "venv", home.folder / "venv")
    home.run(home.folder / "venv/bin/pip", "install", "--quiet", wheel)
    return home.folder / "venv/bin/lambda-router-worker"


def with_lowest(home: Home, wheel: str, interpreter: Path) -> Path:
    """The oldest versions that the wheel admits of what it names."""
    home.run(UV, "venv", "--quiet", "--python", interpreter, home.folder / "venv")
    install = (UV, "pip", "install", "--quiet", "--resolution", "lowest-direct", wheel)
    home.run(*install, VIRTUAL_ENV=str(home.folder / "venv"))
    return home.folder / "venv/bin/lambda-router-worker"


#: What an owner of a box types; each returns the command that it brought.
WAYS: dict[str, Callable[[Home, str, Path], Path]] = {
    "uv tool": _with_uv,
    "pipx": _with_pipx,
    "venv": _with_pip,
    "lowest": with_lowest,
}


def environment_of(command: Path) -> Path:
    """The Python that runs an installed command."""
    return command.resolve().with_name("python")


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without the variables of the product, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}  # noqa: TID251
    return kept | variables
