"""The page on which units are marked, in a real browser: keys, clicks, a reload, a server that is gone."""

import io

import pytest
from PIL import Image
from playwright.sync_api import expect
from test_browser import browser
from test_browser_paint import served
from test_marking_requests import TABLE

from unitscope.experiments.marks import read_marks
from unitscope.views.rating.marking import make_marking_app, open_marking

__all__ = ["browser"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "artifacts.csv").write_text(TABLE)
    for unit in (2, 7):
        written = io.BytesIO()
        Image.new("RGB", (64, 16), (unit * 20, 90, 40)).save(written, "JPEG")
        (tmp_path / "pictures" / f"unit-{unit:04d}.jpg").write_bytes(written.getvalue())
    return tmp_path


def open_page(browser, address, errors):
    page = browser.new_page()
    page.set_default_timeout(12_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector("[data-unit='2'] [data-mark=fine]")
    return page


def test_units_are_marked_and_marks_are_taken_back(browser, folder):
    errors = []
    with served(make_marking_app(open_marking(folder))) as address:
        page = open_page(browser, address, errors)
        assert page.locator("[data-unit]").count() == 2
        page.locator("[data-unit='7']").focus()
        page.keyboard.press("a")  # and the next unit has the focus
        page.keyboard.press("u")
        expect(page.locator("[data-count]")).to_contain_text("2 of 2")
        page.locator("[data-unit='2'] [data-mark=fine]").click()
        page.wait_for_selector("[data-unit='2'] [data-mark=fine][aria-pressed=true]")
        assert read_marks(folder / "marks.csv") == {7: "artifact", 2: "fine"}
        page.locator("[data-unit='7'] [data-mark=artifact]").click()
        expect(page.locator("[data-count]")).to_contain_text("1 of 2")
        page.reload()
        page.wait_for_selector("[data-unit='2'] [data-mark=fine][aria-pressed=true]")
        assert page.evaluate("[...document.images].every((one) => one.naturalWidth === 64)")
    page.locator("[data-unit='7'] [data-mark=artifact]").click()
    expect(page.locator("[data-trouble]")).to_contain_text("does not answer")
    assert read_marks(folder / "marks.csv") == {2: "fine"}
    assert errors == []
