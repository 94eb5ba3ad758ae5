"""A person at ``/docs``, which is Swagger UI."""

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.browser.person import Person

if TYPE_CHECKING:
    from playwright.sync_api import Page


class DocsPage:
    """The page in this person's tab."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.page: Page = person.page

    def open(self) -> None:
        self.person.open("docs")
        self.page.locator(".opblock").first.wait_for()

    def authorize(self, user: str) -> None:
        """By the page's button, the pool's window, and back. The pool may know the browser; then it asks nothing."""
        self.page.get_by_role("button", name="Authorize").first.click()
        ours = self.page.locator(".auth-container", has_text="authorizationCode")
        with self.page.context.expect_page() as opened:
            ours.locator("button.authorize").click()
        self._choose(opened.value, user)
        ours.get_by_text("Logout").wait_for()
        self.page.locator(".btn-done").first.click()

    def _choose(self, window: "Page", user: str) -> None:
        from playwright.sync_api import Error

        choice = window.get_by_role("button", name=user, exact=True)
        with suppress(Error):  # the window has closed itself
            choice.click(timeout=10_000)

    def try_out(self, method: str, path: str, body: Any = None, **parameters: str) -> tuple[int, Any]:
        """Send a request by the page, and read the response there."""
        block = self.page.locator(f".opblock-{method}", has=self.page.locator(f"[data-path='{path}']"))
        block.locator(".opblock-summary-control").first.click()
        block.get_by_role("button", name="Try it out").click()
        if body is not None:
            block.locator("textarea.body-param__text").fill(json.dumps(body))
        for name, value in parameters.items():
            block.locator(f"tr[data-param-name='{name}'] input").fill(value)
        block.get_by_role("button", name="Execute").click()
        live = block.locator(".live-responses-table .response")
        live.wait_for()
        status = live.locator(".response-col_status").inner_text().split()[0]
        return int(status), json.loads(live.locator(".highlight-code code, .microlight").first.inner_text())
