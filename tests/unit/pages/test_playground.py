"""The playground's files: few lines, and nothing in them by which a text could become markup or code."""

import json
import re
from html.parser import HTMLParser

import pytest

from tests.contract.repository import ROOT

FILES = ROOT / "chalicelib" / "pages" / "files"
MARKUP = (FILES / "playground.html").read_text()
SCRIPT = (FILES / "playground.js").read_text()
STYLE = (FILES / "pages.css").read_text()

#: Ways from a text to markup, to code, or to a place that outlives the page.
FORBIDDEN = {
    "markup": r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|createContextualFragment|DOMParser|srcdoc",
    "document": r"document\.(open|write|cookie|domain)",
    "code": r"\beval\b|new Function|import\(|javascript:|setAttribute\(|createElement\(\"script",
    "a string as code": r"set(Timeout|Interval)\(\s*[\"'`]",
    "storage": r"localStorage|indexedDB|\bcaches\b|serviceWorker",
    "logs": r"console\.",
}


class Page(HTMLParser):
    """What a page has."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]


PAGE = Page(MARKUP)


def test_the_playground_has_less_than_400_lines() -> None:
    assert len(MARKUP.splitlines()) + len(SCRIPT.splitlines()) < 400


@pytest.mark.parametrize("text", [MARKUP, SCRIPT, STYLE], ids=["markup", "script", "style"])
def test_no_line_is_too_long_to_read(text: str) -> None:
    assert [line for line in text.splitlines() if len(line) > 120] == []


@pytest.mark.parametrize("pattern", FORBIDDEN.values(), ids=FORBIDDEN)
def test_no_text_becomes_markup_or_code_or_outlives_the_page(pattern: str) -> None:
    assert re.findall(pattern, SCRIPT) == []


def test_one_value_is_stored_and_that_until_the_code_is_used() -> None:
    calls = re.findall(r"sessionStorage\.(\w+)\((\w+)", SCRIPT)
    assert sorted(calls) == [("getItem", "STARTED"), ("removeItem", "STARTED"), ("setItem", "STARTED")]


def test_the_code_leaves_the_address_before_anything_else_happens() -> None:
    first = SCRIPT.index("history.replaceState(null")
    assert SCRIPT.index("location.search") < first < min(SCRIPT.index(word) for word in ("JSON.", "fetch", "run("))


def test_the_page_has_no_script_or_style_of_its_own() -> None:
    assert [(tag, name) for tag, its in PAGE.elements for name in its if name.startswith("on") or name == "style"] == []
    assert PAGE.all("style", "iframe", "object", "embed") == []
    assert [its.get("src") for its in PAGE.all("script")] == ["pages/playground.js"]


def test_every_address_is_relative_so_that_a_stage_may_stand_before_it() -> None:
    addresses = [str(its[name]) for _, its in PAGE.elements for name in ("href", "src", "action") if name in its]
    assert [address for address in addresses if address.startswith("/") or ":" in address] == []
    called = re.findall(r"(?:request|fetchJson|send)\([\"'`]([^\"'`$]+)", SCRIPT)
    assert called
    assert [path for path in called if not path.startswith(("v1/", ".well-known/"))] == []


def test_the_script_finds_each_element_that_it_names() -> None:
    (cleared,) = re.findall(r"for \(const id of (\[.*?\])\)", SCRIPT)
    named = {*re.findall(r'\$\("([\w-]+)"\)', SCRIPT), *json.loads(cleared)}
    assert len(PAGE.ids) == len(set(PAGE.ids))
    assert named - set(PAGE.ids) == set()


def test_every_field_has_a_label() -> None:
    fields = {its["id"] for its in PAGE.all("input", "select", "textarea")}
    assert fields == {its["for"] for its in PAGE.all("label")}


def test_every_button_but_one_a_form_sends_no_form() -> None:
    sending = [its for its in PAGE.all("button") if its.get("type") != "button"]
    assert len(sending) == len(PAGE.all("form")) == 2


def test_what_changes_is_announced_but_not_word_by_word() -> None:
    roles = {its["id"]: its["role"] for _, its in PAGE.elements if "role" in its and "id" in its}
    assert roles == {"problem": "alert", "status": "status", "again": "status", "words": "region"}


@pytest.mark.parametrize("query", ["prefers-color-scheme: dark", "prefers-reduced-motion", "max-width: 30rem"])
def test_the_style_knows_dark_small_and_still_screens(query: str) -> None:
    assert f"({query}" in STYLE
    assert "color-scheme: light dark" in STYLE
