"""Findings of ``check`` have the form of ``make doctor``'s, so that people and programs read both alike."""

from collections.abc import AsyncIterator
from dataclasses import astuple, fields

import pytest
from click.testing import CliRunner

from lambda_router_worker.checking import findings, threads
from lambda_router_worker.checking.findings import Finding, Status
from tools.stack import findings as tools

FINDINGS = [
    Finding("TLS", ok=True, found="TLSv1.3"),
    Finding("TLS", ok=True),
    Finding("eviction", False, "volatile-lru", "noeviction", "jobs are deleted", "CONFIG SET"),
    Finding("port", False, "closed"),
    Finding("eviction", False, "not reported", why="unknown", fix="+info", seen=False),
]


def test_a_finding_has_the_members_of_doctors() -> None:
    assert [each.name for each in fields(Finding)] == [each.name for each in fields(tools.Finding)]


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_reads_like_doctors(finding: Finding) -> None:
    assert [*findings.lines(finding)] == [*tools.lines(tools.Finding(*astuple(finding)))]


@pytest.mark.parametrize("chosen", [[], [0], [0, 4], [4, 2], [3]])
def test_the_exit_status_is_doctors(chosen: list[int]) -> None:
    own = [FINDINGS[place] for place in chosen]

    assert findings.status_of(own) == tools.status_of(tools.Finding(*astuple(each)) for each in own)


def test_each_status_has_doctors_number() -> None:
    assert {each.name: each.value for each in Status}.items() <= {
        each.name: each.value for each in tools.Status
    }.items()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_report_is_doctors(as_json: bool) -> None:
    async def every() -> AsyncIterator[Finding]:
        for finding in FINDINGS:
            yield finding

    with CliRunner().isolation() as (ours, *_):
        status = threads.run(findings.report(every(), as_json=as_json))
        said = ours.getvalue()
    with CliRunner().isolation() as (theirs, *_):
        wanted = tools.report([tools.Finding(*astuple(each)) for each in FINDINGS], as_json=as_json)
        assert (status, said) == (wanted, theirs.getvalue())
