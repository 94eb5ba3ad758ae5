"""What pages make the browser ask for, by its own record of the network, in which there is more than scripts see."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.browser import chromium
from tests.browser.docs_page import DocsPage
from tests.browser.person import Person
from tests.browser.watched import Watched
from tests.e2e.live import Live

if TYPE_CHECKING:
    from playwright.sync_api import Playwright

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def requested(record: Path) -> set[str]:
    """What pages asked for, in a record of ``--log-net-log``. The browser's own updates are no page's."""
    found: dict[str, Any] = json.loads(record.read_text())
    started = found["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [each.get("params", {}) for each in found["events"] if each["type"] == started]
    return {each["url"] for each in asked if each.get("initiator", "").startswith("http")}


def test_nothing_is_asked_for_but_the_api_and_its_pool(driver: "Playwright", live: Live, tmp_path: Path) -> None:
    record = tmp_path / "network.json"
    with chromium.browser(driver, f"--log-net-log={record}", "--net-log-capture-mode=IncludeSensitive") as browser:
        hosts = tuple(urlsplit(each).netloc for each in (live.stack.url, live.stack.facts["endpoint"]))
        watched = Watched(browser, hosts)
        person = Person(watched, f"{live.stack.url}/")
        person.sign_in("alice")
        person.answered("who else is asked")
        docs = DocsPage(person)
        docs.open()
        docs.authorize("alice")
        assert docs.try_out("get", "/v1/models")[0] == 200
        secrets = watched.learn()
        watched.close()
    urls = requested(record)

    assert {url for url in urls if urlsplit(url).netloc not in hosts} == set()
    assert {urlsplit(url).path for url in urls} >= {"/oauth2/token", "/v1/responses", "/openapi.json", "/v1/models"}
    assert len(secrets) >= 5
    assert [url for url in urls if any(secret in url for secret in secrets)] == []
