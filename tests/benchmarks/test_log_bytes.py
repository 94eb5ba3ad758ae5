"""The figures that ``docs/cost.md`` computes with are those of this commit."""

import pytest

from benchmarks.log_bytes.__main__ import measured
from tools.cost.measured import figures

pytestmark = pytest.mark.timeout(120)

#: Bytes of a line vary with the digits of its times; a new member of the line is more than this.
SHARE = 0.025
FIX = "fix: make bench-log-bytes docs"


def test_the_bytes_and_series_of_each_request_are_as_measured() -> None:
    found, kept = measured(1), figures()
    assert found.keys() == kept.keys(), FIX
    for kind, each in found.items():
        assert each["series"] == list(kept[kind].series), (kind, FIX)
        for name in ("log_lines", "metric_lines", "log_bytes", "metric_bytes"):
            assert each[name] == pytest.approx(getattr(kept[kind], name), rel=SHARE), (kind, name, FIX)
