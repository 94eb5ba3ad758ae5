"""A person at the playground: what they see, and what they do."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.browser.watched import Watched
from tests.patience import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


class Person:
    """One tab of one browser.

    Args:
        url: address of the API, with a slash at its end.
    """

    def __init__(self, watched: Watched, url: str) -> None:
        self.watched, self.url = watched, url
        self.page: Page = watched.page()

    def another_tab(self) -> "Person":
        """The same person in one more tab of the same browser."""
        return Person(self.watched, self.url)

    def open(self, path: str = "") -> None:
        self.page.goto(self.url + path)

    def sign_in(self, user: str = "alice") -> None:
        """From the page over the pool's and back."""
        self.open()
        self.page.get_by_role("button", name="Sign in").click()
        self.choose(user)
        self.at_work()

    def choose(self, user: str) -> None:
        """Take a name on the pool's page."""
        self.page.get_by_role("button", name=user, exact=True).click()

    def at_work(self) -> None:
        """Wait until the form for prompts can be used, below the plain address."""
        self.page.locator("#model option").first.wait_for(state="attached")
        assert self.page.url == self.url
        self.watched.learn()  # the tokens, before the page goes elsewhere

    def signed_out(self) -> None:
        """Wait until the page offers to sign in."""
        self.page.get_by_role("button", name="Sign in").wait_for()
        assert not self.page.locator("#workspace").is_visible()

    def ask(self, prompt: str) -> None:
        self.page.locator("#prompt").fill(prompt)
        self.page.get_by_role("button", name="Send").click()

    def answered(self, prompt: str) -> None:
        """Ask, and wait for the whole answer."""
        self.ask(prompt)
        self.sees_words(prompt.upper())
        self.sees_end()

    def sees_words(self, text: str, seconds: float = 15) -> None:
        """Wait until the answer is exactly this."""
        self.sees(lambda: self.words == text, lambda: self.words, seconds)

    def sees_end(self, status: str = "completed", seconds: float = 30) -> None:
        """Wait until the job is final."""
        self.sees_status(f"The job is {status}.", seconds)

    def sees_status(self, text: str, seconds: float = 15) -> None:
        self.sees(lambda: text in self.status, lambda: self.status, seconds)

    def sees_problem(self, *texts: str, seconds: float = 15) -> None:
        """Wait until all of these stand in what is said about an error."""
        self.sees(lambda: all(text in self.problem for text in texts), lambda: self.problem, seconds)

    def sees(self, check: Callable[[], Any], shown: Callable[[], str], seconds: float = 15) -> None:
        def look() -> Any:
            self.page.wait_for_timeout(20)  # Playwright hands out events meanwhile
            return check()

        assert eventually(look, seconds), f"shown: {shown()[:500]!r}; problem: {self.problem!r}"

    @property
    def words(self) -> str:
        """The answer, with its line breaks."""
        return str(self.page.evaluate("document.getElementById('words').textContent"))

    @property
    def status(self) -> str:
        return self.page.locator("#status").text_content() or ""

    @property
    def facts(self) -> str:
        return self.page.locator("#facts").text_content() or ""

    @property
    def problem(self) -> str:
        """What is said about an error; nothing if nothing is."""
        place = self.page.locator("#problem")
        return place.inner_text() if place.is_visible() else ""

    @property
    def jobs(self) -> "Locator":
        return self.page.locator("#jobs li")
