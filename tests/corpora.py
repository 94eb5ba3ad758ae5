"""Public test data that nobody here wrote, by which we are judged.

None of it is copied into this repository. It is read from the folder that ``ROUTER_CORPORA`` names; a test that finds
none is skipped and says so. Which edition a figure was measured with is pinned here, by commit and by SHA-256.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("ROUTER_CORPORA", Path(__file__).parents[2] / "shared" / "corpora"))  # noqa: TID251


@dataclass(frozen=True)
class Corpus:
    """A folder of test data, as some commit of a public repository has it.

    Attributes:
        path: below the corpora's folder.
        source: the repository, and the place in it.
        sha256: of the file; of a folder, of the list that ``sha256sum *`` prints in it.
    """

    path: str
    source: str
    commit: str
    licence: str
    sha256: str

    def place(self) -> Path:
        """Where it is; the test that asks is skipped if it is not there, and fails if it is another edition."""
        place = ROOT / self.path
        if not place.exists():
            pytest.skip(
                f"no {place}: copy it from {self.source} at commit {self.commit}, or set ROUTER_CORPORA to where it is"
            )
        found = _digest_of_folder(place) if place.is_dir() else _digest(place)
        assert found == self.sha256, f"{place} has SHA-256 {found}, wanted {self.sha256}: take it from {self.commit}"
        return place


def _wycheproof(name: str, sha256: str) -> Corpus:
    source = f"https://github.com/C2SP/wycheproof, testvectors_v1/{name}"
    return Corpus(f"wycheproof/{name}", source, "dac1dd4729fd1f8dd9e1e9f3dce51d783da6c166", "Apache-2.0", sha256)


SIGNATURES = _wycheproof(
    "json_web_signature_test.json", "8e687a06fe8359f4ec51480f1a9f73c8faebd6f4c01b818b843b44eee54fd5d9"
)
KEY_SETS = _wycheproof("json_web_key_test.json", "be983255bce26406f97020ec5458b33930a90d5f868e604fcd569c300aba2862")
ENCRYPTIONS = _wycheproof(
    "json_web_encryption_test.json", "2fee073795830ee029ddb84d2d7bcbad05fde6e55ee2d00b153a0aa40a72d7d2"
)
MIXED = _wycheproof("json_web_crypto_test.json", "dcd58ac9548a7d6173437a691e4cc307dcd3cec9fd814a39cd2a94531cf4f8ce")
JSON_TEST_SUITE = Corpus(
    "json-test-suite/test_parsing",
    "https://github.com/nst/JSONTestSuite, test_parsing",
    "1ef36fa",
    "MIT",
    "abc15ec8c3df7ff6fa771b051a8950012403b241af2688e82374e0bcafcdd21c",
)
#: A cut of OpenAI's own description of its API. Its Python client has members that this edition lacks.
RESPONSES = Corpus(
    "openai/responses.openapi.json",
    "https://github.com/openai/openai-openapi, openapi.json, cut to what /responses and /chat/completions need",
    "f85dbe2",
    "MIT",
    "d2066cf269b6c3420fb7d7e1217d455d96e71a49ca448045b3017a149b21eb1e",
)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digest_of_folder(folder: Path) -> str:
    lines = [f"{_digest(file)}  {file.name}\n" for file in sorted(folder.iterdir())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
