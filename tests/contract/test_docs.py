"""Pages say only what is so: generated tables are fresh, and what a page names exists."""

import re
from dataclasses import fields
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from chalicelib import limits
from chalicelib.api.body import MAX_BATCH_JOBS
from chalicelib.errors import Problem
from chalicelib.job_settings import BodyLimits
from chalicelib.jobs.job_records import BAD_OUTCOME
from chalicelib.jobs.job_types import JOB_TYPES
from chalicelib.observability import Notes, RequestRecord
from chalicelib.settings import Settings
from lambda_router_queue.flow import TURNS
from lambda_router_queue.metrics import Metric
from lambda_router_queue.models import BatchItem, Envelope, Job, JobRequest
from lambda_router_queue.queue_keys import LANES
from tests.contract import repository
from tests.contract.repository import ROOT, code_spans, fences, name_of, page, pages
from tools.docs import __main__ as docs
from tools.docs import settings, tables

README_LINES = 120
DECISION_LINES = 40
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
SUFFIXES = (".py", ".lua", ".md", ".json", ".toml", ".txt", ".in", ".sh", ".yml", ".example")

each_page = pytest.mark.parametrize("path", pages(), ids=name_of)


def test_generated_documents_are_what_the_code_says() -> None:
    stale = [name for name, _ in docs.stale(ROOT)]

    assert not stale, f"{stale} are stale; fix: make docs"


def test_a_stale_document_is_noticed(tmp_path: Path) -> None:
    for name, text in docs.wanted(ROOT).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(
            text.replace("| 429 | <a", "| 428 | <a").replace("| `JobsAccepted` |", "| `Jobs` |")
        )

    assert [name for name, _ in docs.stale(tmp_path)] == ["docs/errors.md", "docs/operations.md"]


def test_a_page_without_its_markers_is_refused_with_the_fix() -> None:
    with pytest.raises(docs.BadMarkers, match=r"docs/x\.md has 0 blocks 'routes', wanted one"):
        docs.with_block("no markers here", "routes", "table", "docs/x.md")


def test_only_the_queue_page_may_do_without_its_tables() -> None:
    assert {name for name, _ in docs.BLOCKS} - docs.OPTIONAL == {
        "docs/architecture.md",
        "docs/contract.md",
        "docs/cost.md",
        "docs/deploy.md",
        "docs/monitoring.md",
        "docs/openai.md",
        "docs/operations.md",
        "docs/reliability.md",
        "vendor/lambda_router_queue/lua/record.lua",
    }


def test_the_readme_is_short() -> None:
    assert len(page("README.md").splitlines()) <= README_LINES


def test_the_pictures_are_small() -> None:
    """Those of ``make pictures``: whoever clones the repository gets every version of them."""
    sizes = [path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()]

    assert 0 < sum(sizes) <= 200_000


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_short_and_has_three_parts(path: Path) -> None:
    text = path.read_text()

    assert len(text.splitlines()) <= DECISION_LINES
    for part in ("**Context.**", "**Decision.**", "**Consequences.**"):
        assert part in text, f"{path.name} lacks {part}"
    assert text.startswith(f"# {int(path.stem[:4])}. ")


def test_every_decision_is_in_the_index_once() -> None:
    """Each entry begins with its decision's number, and says which decision supersedes it, as that page does."""
    index = page("docs/decisions/README.md")
    entries = re.findall(r"^- \[(\d+)\]\((\S+)\) (.*(?:\n  .*)*)", index, flags=re.MULTILINE)

    assert sorted(name for _, name, _ in entries) == [path.name for path in DECISIONS]
    for number, name, text in entries:
        assert int(number) == int(name[:4])
        superseded = r"\bsuperseded\b[^.]*?\((\d{4}-[\w-]+\.md)\)"
        assert _links(superseded, text) == _links(superseded, page(f"docs/decisions/{name}")), name


def _links(pattern: str, text: str) -> list[str]:
    return re.findall(pattern, text, flags=re.IGNORECASE)


@each_page
def test_links_lead_somewhere(path: Path) -> None:
    broken = [target for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()) if not _leads(path, target)]

    assert not broken


def _leads(path: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True
    name, _, anchor = target.partition("#")
    found = (path.parent / name) if name else path
    return found.exists() and (not anchor or anchor in repository.anchors(found.read_text()))


@each_page
def test_files_that_are_named_exist(path: Path) -> None:
    named = [span for span in code_spans(path.read_text()) if _is_path(span)]

    assert not [name for name in named if not _exists(name)]


@cache
def _exists(name: str) -> bool:
    """A bare name may stand for a file in any folder, a path only for itself."""
    known = _names()
    if "/" not in name:
        return any(fnmatch(path.rpartition("/")[2], name) for path in known)
    return any(fnmatch(path, name) or path.startswith(name.rstrip("/") + "/") for path in known)


@cache
def _names() -> list[str]:
    return [name_of(path) for path in repository.files()]


def _is_path(span: str) -> bool:
    tops = {name.partition("/")[0] for name in _names()}  # not what was built here, such as dist/
    plain = re.fullmatch(r"\.?[\w*][\w.*-]*(/[\w.*-]+)*/?", span) is not None and span not in SUFFIXES
    return plain and (span.endswith(SUFFIXES) or ("/" in span and span.partition("/")[0] in tops))


@each_page
def test_make_targets_that_are_named_exist(path: Path) -> None:
    text = path.read_text()
    named = [found for part in [*code_spans(text), *fences(text, "sh", "console")] for found in _make_calls(part)]
    targets = set(re.findall(r"^([a-z][a-z-]*(?: [a-z-]+)*):", page("Makefile"), flags=re.MULTILINE))
    known = {target for line in targets for target in line.split()}

    assert set(named) <= known


def _make_calls(text: str) -> list[str]:
    calls = re.findall(r"(?:^|[\s(])make((?: +[\w=./:…-]+)*)", text, flags=re.MULTILINE)
    words = [word for call in calls for word in call.split()]
    return [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]


@each_page
def test_variables_that_are_named_exist(path: Path) -> None:
    pattern = r"\b(?:COGNITO|ROUTER|REDIS|WORKER)_[A-Z][A-Z_]*[A-Z]\b"
    options = {str(option.envvar) for option in settings.worker_options()}
    known = {*Settings.names(), *options, *re.findall(pattern, page("Makefile"))}

    assert set(re.findall(pattern, path.read_text())) <= known


@each_page
def test_errors_that_are_named_exist(path: Path) -> None:
    slugs = {kind.slug() for kind in Problem.kinds()}
    named = re.findall(r"urn:problem-type:lambda-router:([a-z-]+)", path.read_text())
    linked = re.findall(r"\]\((?:docs/)?errors\.md#([^)]+)\)", path.read_text())

    assert {*named, *linked} <= slugs


@each_page
def test_metrics_that_are_named_exist(path: Path) -> None:
    named = {span for span in code_spans(path.read_text()) if re.fullmatch(r"(Jobs|Requests)[A-Z]\w+", span)}

    assert named <= {metric.value for metric in Metric}


def test_every_error_is_raised_when() -> None:
    silent = [kind.__name__ for kind in Problem.kinds() if not (kind.__doc__ or "").startswith("Raised ")]

    assert not silent, "a problem's docstring begins 'Raised when …': it is its row in docs/errors.md"


def test_every_field_of_the_log_line_is_documented() -> None:
    documented = repository.table_column(page("docs/operations.md"), "## The log")

    assert set(documented) == {*RequestRecord._fields, *(field.name for field in fields(Notes))}


def test_every_member_of_a_job_is_documented() -> None:
    section = page("docs/contract.md").split("## The job\n")[1].split("\n## ")[0]

    assert set(Job.model_fields) <= set(code_spans(section))


def test_every_member_that_callers_send_is_documented() -> None:
    sent = repository.table_column(page("docs/contract.md"), "### `POST /v1/jobs`")
    section = page("docs/contract.md").split("### `POST /v1/jobs`")[1].split("\n### ")[0]
    inputs = {name for kind in JOB_TYPES.values() for name in kind.input_type.model_fields}

    assert set(sent) == set(JobRequest.model_fields)
    assert {*inputs, *JOB_TYPES} <= set(code_spans(section))
    assert f"{BodyLimits().job // 1024**2} MiB" in section


def test_a_batchs_bounds_are_documented() -> None:
    section = page("docs/contract.md").split("### `POST /v1/jobs/batch`")[1].split("\n### ")[0]

    assert f"1 to {MAX_BATCH_JOBS} jobs" in section
    assert f"{BodyLimits().batch // 1024**2} MiB" in section
    assert set(BatchItem.model_fields) == set(repository.table_column(section, "", 0))


def test_the_bounds_of_retry_after_are_documented() -> None:
    section = page("docs/contract.md").split("### Retry-After")[1].split("\n#")[0]
    bounds = dict(re.findall(r"^\| (?:202|429|503) ?([a-z]+-[a-z-]+|(?= \|)).*?\| (\d+) \|$", section, re.MULTILINE))

    assert bounds == {
        "": str(limits.MAX_POLL_SECONDS),
        "rate-limited": str(limits.MAX_RETRY_AFTER_SECONDS),
        "too-many-open-jobs": str(limits.MAX_RETRY_AFTER_SECONDS),
        "too-much-stored": str(limits.STORED_RETRY_MS // 1000),
        "queue-full": str(limits.MAX_RETRY_AFTER_SECONDS),
        "queue-unavailable": str(limits.UNAVAILABLE_RETRY_SECONDS),
    }
    assert f"{limits.QUEUE_FULL_RETRY_MS // 1000} where no worker empties it" in section


def test_the_turns_of_priorities_and_lanes_are_documented() -> None:
    section = page("docs/contract.md").split("## Who goes first")[1].split("\n## ")[0]
    words = {6: "six", 3: "three", 1: "one"}

    for priority, turns in TURNS.items():
        assert re.search(rf"{words[turns]} (?:go )?to `{priority}`", section)
    assert f"`{LANES} * (other callers + 1) - 1` jobs, which is {LANES * 2 - 1} beside one" in section


def test_every_error_code_of_the_worker_is_documented() -> None:
    documented = repository.table_column(page("docs/contract.md"), "## The job")
    ours = [path for path in repository.files(".py", ".lua") if name_of(path).startswith("lambda_router_worker/")]
    sources = [path.read_text() for path in ours]
    raised = {
        code
        for text in sources
        for code in re.findall(
            r"(?:JobFailed|TryAgain|__init__|reject|bury|bury_unrecorded)\(.*?[\"']([a-z]+_?[a-z_]+)[\"']", text
        )
    }

    assert set(documented) == {*raised, BAD_OUTCOME.code}


def test_the_module_map_has_every_module_once() -> None:
    program = ("app.py", "chalicelib/", "vendor/", "lambda_router_worker/")
    modules = [name_of(path) for path in repository.files(".py", ".lua") if name_of(path).startswith(program)]
    block = page("docs/architecture.md").split("<!-- generated: modules -->\n")[1].split("<!-- end -->")[0]
    _, *parts = re.split(r"^### `(.+)`$", block, flags=re.MULTILINE)
    rows = dict(zip(parts[::2], parts[1::2], strict=True))
    row = re.compile(r"^\| \[`(.+?)`\]", re.MULTILINE)
    named = [folder + name for folder, text in rows.items() for name in row.findall(text)]

    assert sorted([*named, "app.py"]) == sorted(name for name in modules if not name.endswith("/__init__.py"))
    assert {name.removesuffix("__init__.py") for name in modules if name.endswith("/__init__.py")} <= rows.keys()


@pytest.mark.parametrize(("name", "lacking"), [("x.py", "docstring"), ("x.lua", "comment at its top")])
def test_a_module_without_a_row_of_its_own_is_refused(tmp_path: Path, name: str, lacking: str) -> None:
    (tmp_path / "chalicelib").mkdir()
    (tmp_path / "app.py").write_text('"""The app."""\n')
    (tmp_path / "chalicelib" / name).write_text("\n")

    with pytest.raises(tables.Undescribed, match=rf"chalicelib/{re.escape(name)} has no {lacking}"):
        tables.modules(tmp_path)


def test_every_member_of_the_envelope_is_documented() -> None:
    documented = repository.table_column(page("docs/queue.md"), "## The envelope")

    assert set(documented) == set(Envelope.model_fields)


def test_the_changelog_tells_of_this_version() -> None:
    assert "## [Unreleased]" in page("CHANGELOG.md")
