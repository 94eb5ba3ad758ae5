"""Bytecode beside the sources, so that a cold start does not compile them.

Lambda's disk is read-only, so Python could not keep what it compiled: importing this app takes two to three times as
long without bytecode. Files checked by the source's time are useless in a zip with fixed times; ``unchecked-hash``
(PEP 552) is taken as it is.
"""

import subprocess
import sys
from pathlib import Path

from tools.package_refusal import Refusal

#: Where Lambda unpacks the zip; tracebacks name it.
TASK_FOLDER = "/var/task"


def compile_all(folder: Path, runtime: str) -> None:
    """Write ``__pycache__`` below the folder, for that runtime of Lambda, such as ``python3.13``.

    The bytes depend on the order of sets and on which strings are shared, so one fresh process with a fixed hash seed
    and no site-packages compiles everything in sorted order.

    Raises:
        Refusal: this Python is not the runtime's, or a source does not compile.
    """
    ours = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if runtime != ours:
        raise Refusal(
            f"the function's runtime is {runtime} but this is {ours}, whose bytecode it cannot read: use {runtime}"
        )
    mode = ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", TASK_FOLDER]
    ran = subprocess.run(
        [sys.executable, "-S", "-P", "-m", "compileall", "-q", "-f", *mode, str(folder)],
        env={"PYTHONHASHSEED": "0"},
        check=False,
        capture_output=True,
        text=True,
    )
    if ran.returncode != 0:
        raise Refusal(
            f"a source does not compile, see below: mend it, or choose another version of its package\n{ran.stdout}"
        )
