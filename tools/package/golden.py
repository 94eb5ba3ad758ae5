"""``python -m tools.package.golden``: store Chalice's output and the merged document, for the tests to compare.

A commit's diff of these files shows what a change of ours, or another Chalice, does to the API.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from tools.merge.document import merge
from tools.package import pages
from tools.package.chalice import chalice_package
from tools.package.source import copy_source
from tools.stack.repository import ROOT

GOLDEN = ROOT / "tests/deploy/golden"
RAW, MERGED = GOLDEN / "chalice.raw.json", GOLDEN / "chalice.tf.json"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        copy_source(Path(name) / "source", "terraform", None)
        pages.choose(Path(name) / "source", "terraform", is_on=False)
        document = chalice_package(Path(name) / "source", "terraform", Path(name) / "out")
    RAW.write_text(as_text(document))
    MERGED.write_text(as_text(merge(document)))


def as_text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    main()
