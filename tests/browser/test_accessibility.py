"""The pages for everybody: nothing that axe finds serious, the keyboard alone, small screens, dark, calm."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.browser.accessible import findings, sideways
from tests.browser.conftest import Visit
from tests.browser.docs_page import DocsPage
from tests.browser.hostile import TEXTS
from tests.browser.person import Person
from tests.e2e.live import Live

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "small": {"color_scheme": "light", "viewport": {"width": 360, "height": 640}},
    "small-dark": {"color_scheme": "dark", "viewport": {"width": 360, "height": 640}},
}

State = Callable[[Person, Live], None]


def signed_out(person: Person, live: Live) -> None:
    person.open()
    person.signed_out()


def signed_in(person: Person, live: Live) -> None:
    person.sign_in("alice")


def streaming(person: Person, live: Live) -> None:
    signed_in(person, live)
    prompt = f"held while {uuid.uuid4()} looks"
    person.ask(prompt)
    live.model.let_go(prompt, 2)
    person.sees_words("HELD WHILE")


def answered(person: Person, live: Live) -> None:
    signed_in(person, live)
    person.answered(f"a long answer {'word ' * 300}{'W' * 300}".strip())


def failed(person: Person, live: Live) -> None:
    signed_in(person, live)
    person.ask(f"rejected {TEXTS['long']}")
    person.sees_problem("Request id")


@pytest.mark.parametrize(
    "state", [signed_out, signed_in, streaming, answered, failed], ids=lambda state: state.__name__
)
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_the_playground_bars_nobody(live: Live, visit: Visit, look: dict[str, Any], state: State) -> None:
    person = visit(live.stack, **look)
    state(person, live)

    assert findings(person.page) == []
    assert sideways(person.page) == []


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_docs_bars_nobody(live: Live, visit: Visit, look: dict[str, Any]) -> None:
    docs = DocsPage(visit(live.stack, **look))
    docs.open()
    assert findings(docs.page) == []
    assert sideways(docs.page) == []

    docs.page.get_by_role("button", name="Authorize").first.click()
    docs.page.locator(".modal-ux").wait_for()
    assert findings(docs.page) == []


def test_a_page_with_faults_is_found_out(live: Live, visit: Visit) -> None:
    """What would be found if it were there."""
    person = visit(live.stack)
    signed_out(person, live)
    person.page.evaluate(
        """() => {
          const wide = Object.assign(document.createElement('p'), { textContent: 'W'.repeat(5000) });
          Object.assign(wide.style, { whiteSpace: 'nowrap', overflowWrap: 'normal' });
          document.querySelector('main').append(wide, document.createElement('input'), document.createElement('img'));
        }"""
    )

    assert {each.partition(":")[0] for each in findings(person.page)} >= {"label", "image-alt"}
    assert sideways(person.page) != []


@contextmanager
def keyboard_alone(person: Person) -> Iterator[Callable[[str], None]]:
    """A function that moves the focus by Tab to what has that name, as far as a page goes."""

    def to(name: str) -> None:
        page = person.page
        for _ in range(80):
            page.keyboard.press("Tab")
            label = page.evaluate(
                """() => { const it = document.activeElement;
                return it.getAttribute('aria-label') || it.labels?.[0]?.innerText || it.innerText || ''; }"""
            )
            if label.strip().startswith(name):
                assert page.evaluate(_HAS_OUTLINE), f"nobody sees that {name!r} has the focus"
                return
        raise AssertionError(f"Tab never reaches {name!r}")

    yield to


_HAS_OUTLINE = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
}"""


def test_the_keyboard_alone_does_everything(live: Live, visit: Visit) -> None:
    person = visit(live.stack)
    press = person.page.keyboard.press
    person.open()
    with keyboard_alone(person) as to:
        to("Sign in")
        press("Enter")
        person.page.wait_for_url("**/login?*")
        for _ in range(2):
            press("Tab")
        press("Enter")
        person.at_work()
        focused = "document.activeElement.id"
        assert person.page.evaluate(focused) == "prompt"

        prompt = "held for the keyboard"
        person.page.keyboard.type(prompt)
        press("Control+Enter")
        live.model.let_go(prompt, 1)
        person.sees_words("HELD")
        to("Cancel")
        press("Enter")
        person.sees_end("cancelled")
        assert person.page.evaluate(focused) != ""  # it is not lost with the button

        person.page.locator("#prompt").focus()
        person.page.keyboard.type(" again")
        to("Send")
        press("Enter")
        live.model.let_go(f"{prompt} again")
        person.sees_words(f"{prompt} again".upper())
        person.sees_end()

        to("cancelled")  # a row of the list
        press("Enter")
        person.sees(lambda: "cancelled" in person.status, lambda: person.status)
        to("Refresh")
        press("Space")
        person.page.locator("body").press("Control+Home")
        person.page.evaluate("document.activeElement.blur()")
        to("Sign out")
        press("Enter")
        person.signed_out()


def test_what_changes_is_announced_but_not_each_word(at_work: Person, live: Live) -> None:
    """Regions that a screen reader reads aloud: the state changes a few times, the answer comes in its own."""
    at_work.page.evaluate(
        """() => { window.announced = 0; for (const it of document.querySelectorAll('[role=status], [aria-live]'))
        new MutationObserver((all) => window.announced += all.length)
          .observe(it, { childList: true, characterData: true, subtree: true }); }"""
    )
    at_work.answered("paced " + "word " * 99 + "end")

    announced = at_work.page.evaluate("window.announced")
    assert 1 <= announced <= 20
    assert at_work.page.locator("#words").evaluate("it => it.closest('[aria-live], [role=status], [role=log]')") is None


def test_nothing_moves_for_who_asks_for_calm(live: Live, visit: Visit) -> None:
    person = visit(live.stack, reduced_motion="reduce")
    streaming(person, live)
    moving = person.page.evaluate(
        """() => [...document.querySelectorAll('*')].filter((it) => {
          const style = getComputedStyle(it);
          const times = `${style.transitionDuration},${style.animationDuration}`.split(',');
          return times.some((time) => parseFloat(time) > 0.01) || style.scrollBehavior === 'smooth';
        }).map((it) => it.outerHTML.slice(0, 80))"""
    )

    assert (moving, person.page.evaluate("document.getAnimations().length")) == ([], 0)
