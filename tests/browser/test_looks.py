"""What a person notices before they read: straight lines, nothing that jumps, text from its own side."""

import pytest

from tests.browser.conftest import Visit
from tests.browser.docs_page import DocsPage
from tests.browser.person import Person
from tests.e2e.live import Live

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

#: Distance of the written part of the last line of an element to that element's left and right side.
_MARGINS = """(selector) => {
  const element = document.querySelector(selector);
  const range = document.createRange();
  range.selectNodeContents(element);
  const [box, line] = [element.getBoundingClientRect(), [...range.getClientRects()].at(-1)];
  return [line.left - box.left, box.right - line.right];
}"""


#: Writes down each place at which the heading of the answer stands from now on, and returns the present one.
_PLACES = """() => {
  const place = () => document.getElementById('answer-title').offsetTop;
  window.seen = new Set([place()]);
  const all = { subtree: true, childList: true, attributes: true };
  new MutationObserver(() => seen.add(place())).observe(document.body, all);
  return place();
}"""


def middle(person: Person, selector: str) -> float:
    """Height of an element's middle on the page."""
    box = person.page.locator(selector).bounding_box()
    assert box is not None
    return box["y"] + box["height"] / 2


def test_the_header_has_two_straight_lines_on_a_small_screen(visit: Visit, live: Live):
    person = visit(live.stack, viewport={"width": 360, "height": 640})
    person.sign_in()
    assert abs(middle(person, "h1") - middle(person, "nav")) < 8
    assert abs(middle(person, "#person") - middle(person, "#sign-out")) < 8
    assert middle(person, "#person") > middle(person, "h1") + 8
    assert person.page.evaluate("innerWidth - document.getElementById('sign-out').getBoundingClientRect().right") < 24


def test_nothing_moves_when_a_job_begins_and_ends(at_work: Person):
    before = at_work.page.evaluate(_PLACES)
    at_work.answered("a b c d e f g h")
    assert at_work.page.locator("#limits").text_content()  # it came, and so did the button that cancels
    assert at_work.page.evaluate("[...seen]") == [before]


def test_text_from_right_to_left_begins_at_the_right(at_work: Person):
    at_work.answered("\u05e9\u05dc\u05d5\u05dd")
    left, right = at_work.page.evaluate(_MARGINS, "#words > div")
    assert left > right + 100


def test_a_small_list_of_jobs_shows_their_results(visit: Visit, live: Live):
    person = visit(live.stack, viewport={"width": 360, "height": 640})
    person.sign_in()
    person.answered("short")
    row = person.jobs.first
    row.get_by_text("SHORT").wait_for()
    assert row.get_by_text("SHORT").evaluate("it => it.getBoundingClientRect().right <= innerWidth && it.offsetTop > 0")
    assert middle(person, "#jobs li:first-child bdi:last-child") > middle(person, "#jobs li:first-child b") + 8


def test_what_the_docs_offer_to_send_is_accepted(at_work: Person):
    docs = DocsPage(at_work)
    docs.open()
    docs.authorize("alice")
    assert docs.try_out("post", "/v1/jobs")[0] == 202
