"""The rating page in a real browser: scripted raters at the keyboard, a server that is killed, results."""

import json

import pytest
from made_dissection import HOSTILE, MadeSource, made_dissection
from test_browser import browser, cut_off
from test_browser_paint import served

from unitscope.cli import main
from unitscope.experiments.questionnaire import draw_questions
from unitscope.lab.studies.scripted_raters import Coin
from unitscope.views.rating.rating_session import open_session
from unitscope.views.rating.server import make_app

__all__ = ["browser"]


@pytest.fixture(scope="module")
def run():
    return made_dissection()


def enter(browser, address, name, errors, **options):
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 860}, **options})
    page.set_default_timeout(12_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(address)
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-state=asking]")
    return page


def press(page, key, place):
    page.keyboard.press(key)
    page.wait_for_selector(f"body[data-place='{place}']")


def test_scripted_raters_at_the_keyboard_are_found_out(browser, run, tmp_path, capsys):
    asked = draw_questions(run, units=12, repeats=4, decoys=4)
    judges = {
        "truth": lambda one: one.kind != "decoy" and one.detector,
        "coin": Coin(0, "coin"),
        "yes": lambda one: True,
    }
    errors = []
    with served(make_app(open_session(run, MadeSource(), asked, tmp_path))) as address:
        for name, judge in judges.items():
            page = enter(browser, address, name, errors)
            for place, number in enumerate(asked.order(name)):
                assert page.locator("[data-phrase]").inner_text() == asked[number].concept.label.strip() or (
                    asked[number].concept.name in HOSTILE
                )
                press(page, "y" if judge(asked[number]) else "n", place + 1)
            assert page.locator("body").get_attribute("data-state") == "done"
            page.close()
    assert errors == []
    assert main(["ratings", str(tmp_path), "--draws", "20", "--json"]) == 0
    found = {row["rater"]: row for row in json.loads(capsys.readouterr().out)["raters"]}
    for name, judge in judges.items():
        row = found[name]
        own = [judge(one) == one.detector for one in asked.labels]
        assert row["dissection"]["value"] == pytest.approx(sum(own) / len(own))
        assert row["caught"] == sum(not judge(one) for one in asked.of("decoy"))
        assert row["same"] == sum(judge(one) == judge(asked[one.first]) for one in asked.of("repeat"))
    assert found["yes"]["flags"]
    assert not found["truth"]["flags"]


def test_a_kill_a_reload_and_an_undo_lose_nothing(browser, run, tmp_path):
    asked, errors = draw_questions(run, units=6, repeats=1, decoys=1), []
    app = make_app(open_session(run, MadeSource(), asked, tmp_path))
    small = {"viewport": {"width": 400, "height": 800}}
    with served(app) as address:
        page = enter(browser, address, "=Ann <b>", errors, **small)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        press(page, "y", 1)
        press(page, "n", 2)
        press(page, "u", 1)
        press(page, "n", 2)
        with cut_off(page):
            page.keyboard.press("y")
            page.locator("[data-trouble]", has_text="does not answer").wait_for()
        press(page, "y", 3)
        page.reload()
        page.wait_for_selector("body[data-place='3']")
        page.close()
    with served(make_app(open_session(run, MadeSource(), asked, tmp_path))) as address:
        page = enter(browser, address, "=Ann <b>", errors, **small)
        assert page.locator("[data-count]").inner_text() == "4 of 8"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.matches('button')")
        page.close()
    assert errors == []
