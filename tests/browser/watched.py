"""A browser of one person, of which everything is written down that a page may not do."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, WebError

#: An access or id token.
TOKEN = re.compile(r"eyJ[\w-]{6,}\.eyJ[\w-]{6,}\.[\w-]{6,}")

#: The browser's own line for a response of 400 or more. The page shows these, and the tests look there.
_REFUSED_LOAD = re.compile(r"Failed to load resource: (the server responded with a status of|net::ERR_)")

#: Written before the page's own script runs, so it sees what that does first.
_RECORDER = """
addEventListener('securitypolicyviolation', (event) =>
  console.error(`violation of ${event.violatedDirective}: ${event.blockedURI || event.sample}`));
"""

_STORED = """async () => {
  const databases = await Promise.all((await indexedDB.databases()).map(({ name }) => new Promise((done) => {
    const opening = indexedDB.open(name);
    opening.onerror = () => done(name);
    opening.onsuccess = async () => {
      const stores = [...opening.result.objectStoreNames];
      const all = stores.map((store) => new Promise((read) => {
        const request = opening.result.transaction(store).objectStore(store).getAll();
        request.onsuccess = () => read(request.result);
      }));
      done([name, await Promise.all(all)]);
    };
  })));
  const caches_ = await caches.keys();
  return JSON.stringify({
    local: { ...localStorage }, session: { ...sessionStorage }, databases, caches: caches_, cookie: document.cookie,
    state: history.state, name: window.name, address: location.href, referrer: document.referrer,
  });
}"""


class Watched:
    """A context of the browser, with its own cookies and storage.

    Attributes:
        urls: of everything that was requested, in order.
        refresh_tokens: those that the pool has issued, as far as ``learn`` has been called since.
    """

    def __init__(self, browser: "Browser", hosts: tuple[str, ...], **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(**options)
        self.context.set_default_timeout(15_000)
        self.context.add_init_script(_RECORDER)
        self.hosts = hosts
        self.urls: list[str] = []
        self.refresh_tokens: list[str] = []
        self._issued: list[Response] = []
        self.secrets: set[str] = set()
        self._complaints: list[str] = []
        self.context.on("request", lambda request: self.urls.append(request.url))
        self.context.on("response", self._keep_issued)
        self.context.on("console", self._keep_console)
        self.context.on("weberror", self._keep_error)

    def page(self) -> "Page":
        return self.context.new_page()

    def complaints(self) -> list[str]:
        """Errors and warnings on the console, exceptions that nobody caught, violations of the policy."""
        return list(self._complaints)

    def forgive(self) -> None:
        """Forget them. For a test that has looked at them itself."""
        self._complaints.clear()

    def foreign(self) -> list[str]:
        """What was requested of another host."""
        return [url for url in self.urls if urlsplit(url).netloc not in self.hosts and not url.startswith("data:")]

    def learn(self) -> set[str]:
        """The tokens that the pool has issued so far, and the verifiers. Call it before a page goes elsewhere."""
        for response in self._issued:
            tokens = _tokens(response)
            self.secrets |= set(tokens.values()) | _form(response)
            if "refresh_token" in tokens:
                self.refresh_tokens.append(tokens["refresh_token"])
        self._issued.clear()
        return self.secrets

    def leaks(self) -> Iterator[str]:
        """Where a token can be found outside of the page's memory: addresses and all storage of the browser."""
        self.learn()
        for url in self.urls:
            if self._holds_token(url):
                yield f"address {url[:60]}"
        for page in self.context.pages:
            if page.url.startswith("http"):
                stored = _stored(page)
                if self._holds_token(stored):
                    yield f"storage {stored[:300]}"
        for cookie in self.context.cookies():
            if self._holds_token(str(cookie)):
                yield f"cookie {cookie['name']}"

    def close(self) -> None:
        self.context.close()

    def _holds_token(self, text: str) -> bool:
        return bool(TOKEN.search(text)) or any(secret in text for secret in self.secrets)

    def _keep_issued(self, response: "Response") -> None:
        if response.url.endswith("/oauth2/token"):
            self._issued.append(response)

    def _keep_console(self, message: "ConsoleMessage") -> None:
        if message.type in {"error", "warning"} and not _REFUSED_LOAD.match(message.text):
            self._complaints.append(f"{message.type}: {message.text}")

    def _keep_error(self, error: "WebError") -> None:
        self._complaints.append(f"uncaught: {error.error}")


def _stored(page: "Page") -> str:
    """All that a page has stored. A page on its way to another, as after a sign-out, is read once it is there."""
    from playwright.sync_api import Error

    for _ in range(5):
        try:
            return str(page.evaluate(_STORED))
        except Error as error:
            if "Execution context was destroyed" not in error.message:
                raise
            page.wait_for_load_state()
    raise AssertionError(f"the page at {page.url} never comes to rest")


def _tokens(response: "Response") -> dict[str, str]:
    """The tokens of a response, whose body is gone once its page went elsewhere."""
    from playwright.sync_api import Error

    try:
        body = response.json()
    except (Error, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return {name: text for name, text in body.items() if name.endswith("_token")}


def _form(response: "Response") -> set[str]:
    """What the page sent for them, but for the code, which stands in the address for a moment."""
    form = response.request.post_data_json or {}
    return {form[name] for name in ("refresh_token", "code_verifier") if name in form}
