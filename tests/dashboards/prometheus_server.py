"""Debian's Prometheus, which scrapes every second, and its tool."""

import json
import math
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests import debian
from tests.dashboards.expressions import FOLDER
from tests.patience import eventually
from tests.servers import free_port

type Labels = tuple[tuple[str, str], ...]


class Prometheus(NamedTuple):
    port: int

    def get(self, path: str, **query: str) -> Any:
        """The ``data`` of a response of the HTTP API."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, expression: str) -> dict[Labels, float]:
        """Each series' labels and value, now. Fails where a value is no number."""
        series = self.get("query", query=expression)["result"]
        found = {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in series}
        assert not [value for value in found.values() if math.isnan(value)], expression
        return found

    def value(self, expression: str) -> float | None:
        """The value of an expression that gives one series, or None."""
        values = list(self.values(expression).values())
        assert len(values) < 2, expression
        return values[0] if values else None

    def scrapes(self) -> dict[str, dict[str, Any]]:
        """The state of each target, by its address."""
        return {each["labels"]["instance"]: each for each in self.get("targets")["activeTargets"]}


@contextmanager
def prometheus(folder: Path, ports: Sequence[int]) -> Iterator[Prometheus]:
    """A Prometheus with our alerts that scrapes these ports of this machine. Skips without Debian's."""
    program = debian.program_or_skip("prometheus")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FOLDER / "alerts.yaml")],
        "scrape_configs": [
            {"job_name": "workers", "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            server = Prometheus(port)
            assert eventually(lambda: _is_ready(server), 60), (folder / "prometheus.log").read_text()
            yield server
        finally:
            process.terminate()
            process.wait(timeout=20)


def _is_ready(server: Prometheus) -> bool:
    try:
        return bool(server.scrapes())
    except OSError:
        return False


def promtool(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """What ``promtool`` says of files, or of a text on its standard input."""
    program = debian.program_or_skip("promtool")
    return subprocess.run([program, *words], input=text, capture_output=True, text=True, timeout=60, check=False)
