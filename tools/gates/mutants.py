"""``python -m tools.gates.mutants``: mutation testing of the token and key checks, for ``make mutants``.

Exits with status 1 if a mutant survives that ``docs/security.md`` does not list as equivalent, with a reason.
"""

import re
import shutil
import subprocess
import sys

from tools.stack.repository import ROOT

#: mutmut must be installed beside pytest and the code under test, while .venv stays as locked.
VENV = ROOT / ".local" / "mutants"
PAGE = ROOT / "docs" / "security.md"


def main() -> int:
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)], cwd=ROOT, check=True)
    locked = ["-r", "requirements/dev.txt", "-r", "requirements/mutants.txt"]
    into = ["--python", str(VENV / "bin" / "python")]
    subprocess.run([*uv, "pip", "install", "--quiet", *into, *locked], cwd=ROOT, check=True)
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # mutmut would reuse the verdicts of other code
    _mutmut("run", "--max-children", "2")
    for name, verdict in _verdicts().items():
        if verdict == "timeout":
            _mutmut("run", name)  # again, alone: other load may have slowed its tests down
    verdicts = _verdicts()
    survivors = {_shown(name): name for name, verdict in verdicts.items() if verdict != "killed"}
    return judge(verdicts, survivors, listed(PAGE.read_text(encoding="utf-8")))


def judge(verdicts: dict[str, str], survivors: dict[str, str], known: set[str]) -> int:
    """Print the figures and the unlisted survivors; return 1 if there are any.

    Args:
        verdicts: mutant → its outcome.
        survivors: change of the code, ``old → new``, of each mutant that was not killed → mutant.
        known: the changes that are listed as equivalent.
    """
    unknown = {name: change for change, name in survivors.items() if change not in known}
    print(f"{len(verdicts)} mutants, {len(verdicts) - len(survivors)} killed, {len(survivors)} survived, ", end="")
    print(f"{len(survivors) - len(unknown)} of them listed as equivalent in docs/security.md")
    for name, change in unknown.items():
        print(f"{name} ({verdicts[name]}): no test fails\n  {change}")
    if unknown:
        print("fix: write a test that fails with the change, or list it in docs/security.md with its reason")
    return 1 if unknown else 0


def listed(page: str) -> set[str]:
    """Return the changes in the page's table of equivalent mutants, as ``old → new``."""
    rows = re.findall(r"^\| `` (.+?) `` \| `` (.+?) `` \|", page, re.MULTILINE)
    return {f"{old} → {new}".replace("\\|", "|") for old, new in rows}


def _verdicts() -> dict[str, str]:
    return dict(re.findall(r"(chalicelib\S+): (.+)", _mutmut("results", "--all", "true")))


def _shown(name: str) -> str:
    """Return the mutant's change as ``old → new``, each line without indentation."""
    lines = re.findall(r"^([-+])(?![-+]{2} )\s*(.*)$", _mutmut("show", name), re.MULTILINE)
    old, new = (" ".join(text for sign, text in lines if sign == wanted) for wanted in "-+")
    return f"{old} → {new}"


def _mutmut(*arguments: str) -> str:
    command = [str(VENV / "bin" / "mutmut"), *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
