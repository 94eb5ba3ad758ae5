"""Which tests stay in one process when several run them (``make test``): those that share a dear fixture of a session.

A pytest plugin. All others stay together file by file.
"""

import os
from pathlib import PurePath
from typing import Any
from zlib import crc32

import pytest

#: Folders that share a cluster, workers, the five ports of a login's answer.
FOLDERS = frozenset({"client", "conformance", "protocol"})
#: Files that share a stack's life, a built package, or a running stack.
FILES = {
    "deploy/test_life.py": "life",
    "deploy/test_alarms.py": "life",
    "deploy/test_by_make.py": "life",
    "deploy/test_permissions.py": "life",
    "package/test_artefact.py": "package",
    "package/test_package_build.py": "package",
    "package/test_package_contents.py": "package",
    "package/test_package_sbom.py": "package",
    "e2e/test_openai_clients.py": "clients",
    "e2e/test_openai_streams.py": "streams",
    "e2e/test_resumed_streams.py": "streams",
    "e2e/test_live_events.py": "streams",
    "kit/test_chat.py": "streams",
    "e2e/test_local_stack.py": "stack",
    "e2e/test_many_waits.py": "stack",
    "e2e/test_pages.py": "stack",
    "e2e/test_smoke.py": "stack",
}
#: Folders whose tests run without coverage, which costs a third of their CPU: the others cover all that they do.
UNCOVERED = frozenset({"security", "faults", "model", "conformance", "deploy", "benchmarks", "e2e", "tools", "release"})
#: Groups that take minutes. They begin first, or the others would be done and wait for them.
LONGEST = ("life", "clients", "streams", "stack", "protocol", "package")


def group_of(nodeid: str) -> str:
    """The group of ``tests/folder/test_file.py::test_name``; tests of one group run in one process, in order."""
    path = PurePath(nodeid.split("::", 1)[0])
    if folder := FOLDERS.intersection(path.parts):
        return next(iter(folder))
    return FILES.get(f"{path.parent.name}/{path.name}", str(path))


def _turn(item: pytest.Item) -> tuple[int, int]:
    """The longest first; then in an order by chance, the same every time, so that not all that compute run at once."""
    group = group_of(item.nodeid)
    return LONGEST.index(group) if group in LONGEST else len(LONGEST), crc32(group.encode())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The order in which xdist hands groups out (``--no-loadscope-reorder``), and what is not measured."""
    for item in items if not config.getoption("no_cov") else []:  # pytest-cov's mark fails where it measures nothing
        if not UNCOVERED.isdisjoint(item.nodeid.split("/")):
            item.add_marker("no_cover")
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)


@pytest.hookimpl(optionalhook=True, tryfirst=True)  # before xdist's own, which counts the cores
def pytest_xdist_auto_num_workers() -> int:
    """Five processes for two cores, since many tests wait for a server, a lease or Terraform."""
    return max(4, min(12, 5 * (os.process_cpu_count() or 1) // 2))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """pytest-xdist's ``loadgroup`` would do the same by marks, but writes them where pytest 9.1 no longer looks."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Together(config, log)
