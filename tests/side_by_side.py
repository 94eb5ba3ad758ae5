"""Which tests stay in one process when several run them (``make test``): those that share a dear fixture of a session.

A pytest plugin. All others stay together file by file.
"""

import os
from pathlib import PurePath
from typing import Any

import pytest

#: Folders that share a running stack, a cluster, workers.
FOLDERS = ("conformance", "e2e", "protocol")
#: Files that share a stack's life, or a built package.
FILES = {
    "test_life.py": "life",
    "test_by_make.py": "life",
    "test_permissions.py": "life",
    "test_artefact.py": "package",
    "test_package_build.py": "package",
    "test_package_contents.py": "package",
    "test_package_sbom.py": "package",
    "test_smoke.py": "package",
}


def group_of(nodeid: str) -> str:
    """The group of ``tests/folder/test_file.py::test_name``; tests of one group run in one process, in order."""
    path = PurePath(nodeid.split("::", 1)[0])
    if path.parent.name in FOLDERS:
        return path.parent.name
    return FILES.get(path.name, str(path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two processes more than there are cores, since many tests wait for a server, a lease or Terraform."""
    return (os.process_cpu_count() or 1) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """pytest-xdist's ``loadgroup`` would do the same by marks, but writes them where pytest 9.1 no longer looks."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Together(config, log)
