"""The rating page in a real browser: scripted raters whose agreement is known, by keyboard alone."""

from contextlib import ExitStack

import pytest
from test_browser import browser
from test_browser_paint import served

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.studies.questionnaire import draw_questions
from unitscope.studies.raters import measure_ratings
from unitscope.studies.ratings import load_ratings
from unitscope.views.rating.booth import open_booth
from unitscope.views.rating.server import make_app

__all__ = ["browser"]


@pytest.fixture(scope="module")
def source():
    return us.open_source("drawn:count=60,seed=2000,size=64")


@pytest.fixture(scope="module")
def run(source):
    network = us.load_network("zoo:scene-classifier")
    return us.dissect(network, source, ["layer5"], confidences=Confidences(shifts=0))


@pytest.fixture(scope="module")
def asked(run):
    return draw_questions(run, units=6, repeats=2, decoys=2, images=4)


class Sitting:
    """A rater at the page."""

    def __init__(self, browser, address, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme)
        context.set_default_timeout(12_000)
        self.page = context.new_page()
        self.errors, self.requests = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def begin(self, name, place=0):
        self.page.wait_for_selector("body[data-state=name]")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        self.at(place)

    def at(self, place):
        self.page.wait_for_selector(f"body[data-place='{place}']")

    def press(self, key, place):
        """A key, and the question it leads to."""
        self.page.keyboard.press(key)
        self.at(place)


def judge(asked, order, place, kind):
    """What a script says: the truth is that a unit fits its own label, and no decoy does."""
    question = asked[order[place]]
    return {"truth": question.kind != "decoy", "yes": True, "parity": question.unit % 2 == 0}[kind]


def sit(sitting, asked, name, start=0, stop=None):
    order = asked.order(name)
    for place in range(start, len(order) if stop is None else stop):
        sitting.press("y" if judge(asked, order, place, name) else "n", place + 1)


def test_scripted_raters_by_keyboard_alone(browser, run, source, asked, tmp_path):
    with ExitStack() as stack:
        address = stack.enter_context(served(make_app(open_booth(run, source, asked, tmp_path))))
        for name in ("truth", "yes"):
            sitting = Sitting(browser, address)
            sitting.begin(name)
            assert sitting.page.locator("[data-phrase]").text_content() == (
                asked[asked.order(name)[0]].concept.label
            )
            assert sitting.page.locator("[data-pictures] li").count() == 4
            sit(sitting, asked, name)
            assert sitting.page.locator("[data-thanks]").text_content() == "All 10 questions are answered."
            assert sitting.errors == []
            assert all(url.startswith((address, "data:", "blob:")) for url in sitting.requests)
        # A third begins, takes an answer back, and loses the page.
        third = Sitting(browser, address)
        third.begin("parity")
        sit(third, asked, "parity", 0, 4)
        third.press("u", 3)
        third.page.close()
    # The server was killed and comes back; the rater goes on where the last kept answer was.
    with served(make_app(open_booth(run, source, asked, tmp_path))) as address:
        back = Sitting(browser, address, width=400, scheme="dark")
        back.begin("parity", 3)
        assert back.page.evaluate("document.documentElement.scrollWidth") <= 400
        sit(back, asked, "parity", 3)
        assert back.errors == []
    found, answers = load_ratings(tmp_path)
    assert found == asked
    wanted = {
        name: {
            number: judge(asked, asked.order(name), place, name)
            for place, number in enumerate(asked.order(name))
        }
        for name in ("truth", "yes", "parity")
    }
    assert answers == wanted
    result = measure_ratings(asked, answers)
    by_name = {row.rater: row for row in result.raters}
    assert (by_name["truth"].caught, by_name["truth"].same, by_name["truth"].flags) == (2, 2, ())
    assert (by_name["yes"].caught, by_name["yes"].same) == (0, 2)
    assert by_name["yes"].flags == ("decoys caught: 0 of 2",)
    even = sum(one.unit % 2 == 0 for one in asked.labels)
    # Of three pairs of raters the two others agree always, and with "parity" where the unit is even.
    assert result.agreement.value == pytest.approx((6 + 2 * even) / 18)


def test_buttons_and_names_do_what_keys_do(browser, run, source, asked, tmp_path):
    with served(make_app(open_booth(run, source, asked, tmp_path))) as address:
        sitting = Sitting(browser, address)
        sitting.begin("<b>Ada</b>")
        assert sitting.page.locator("[data-name]").text_content() == "<b>Ada</b>"
        sitting.page.locator("[data-answer=yes]").click()
        sitting.at(1)
        sitting.page.locator("[data-undo]").first.click()
        sitting.at(0)
        sitting.page.locator("[data-leave]").click()
        sitting.page.wait_for_selector("body[data-state=name]")
        sitting.begin("Grace")
        assert sitting.errors == []
