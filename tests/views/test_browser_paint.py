"""The paint page in a real browser: what people do with mouse, finger and keyboard."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Page
from test_browser import browser, cut_off

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.interventions import open_studio
from unitscope.interventions.painting import easel
from unitscope.interventions.painting.easel import BLOCK
from unitscope.views.app.project import open_project
from unitscope.views.app.server import make_app

__all__ = ["browser"]
SAMPLE = 2
"""A beach: there is sky to put a tree into."""


@contextmanager
def served(app):
    # A page that a failed test left open must not keep its server waiting for ever.
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address():
    generator = us.load_network("zoo:generator")
    source = us.open_source("segmenter:zoo:segmenter,count=48", generator)
    quick = Confidences(shifts=0)
    run = us.dissect(generator, source, ["layer1"], convention="pnas", confidences=quick)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(easel, "try_paints", partial(easel.try_paints, images=1, shown=BLOCK))
        project = open_project(open_studio(generator, run, source), images=32)
    with served(make_app(project)) as found:
        yield found


@dataclass
class Visit:
    """A visitor's page, what it asked for and what went wrong."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def settle(self) -> None:
        self.page.wait_for_timeout(60)
        self.page.wait_for_selector("body[data-state=ready]")

    def choose(self, concept: str) -> None:
        self.page.locator(f'[data-paint][title^="object {concept}:"]').click()

    def place(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator("#stage").bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def stroke(self, y: float = 0.3) -> None:
        self.page.mouse.move(*self.place(0.3, y))
        self.page.mouse.down()
        for x in np.linspace(0.3, 0.65, 8):
            self.page.mouse.move(*self.place(float(x), y))
        self.page.mouse.up()
        self.settle()

    def edits(self) -> dict:
        with self.page.expect_download() as download:
            self.page.locator("[data-save-edits]").click()
        return json.loads(Path(download.value.path()).read_text())

    def colors(self) -> str:
        """The picture as the canvas shows it, without the brush."""
        self.page.mouse.move(2, 2)
        return self.page.evaluate("document.querySelector('#stage').toDataURL()")

    def enabled(self, name: str) -> bool:
        return self.page.locator(f"[data-{name}]").is_enabled()


def visit(browser, address: str, image: int | str = SAMPLE, **options) -> Visit:
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
    context.set_default_timeout(12_000)
    found = Visit(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    found.page.on("console", lambda said: found.errors.append(said.text) if said.type == "error" else None)
    found.page.goto(address)
    found.page.wait_for_selector("[data-units] button")
    if image == SAMPLE:
        found.page.locator(f'[data-image="{image}"]').click()
    found.settle()
    found.page.locator(
        f'[data-image="{image}"][aria-current=true], [data-photo-key="{image}"][aria-current=true]'
    ).wait_for()
    return found


def covered(mask: dict) -> np.ndarray:
    return runs(mask["runs"], (mask["rows"], mask["columns"]))


def runs(lengths: list[int], size: tuple[int, int]) -> np.ndarray:
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size)


def ask(found: Visit, address: str, edits: dict) -> dict[str, dict]:
    answer = found.page.request.post(f"{address}api/changes", data=edits)
    assert answer.ok
    told = answer.json()
    named = {f"{one['category']}/{one['name']}": one for one in told["changes"]}
    return {name: one | {"size": told["size"]} for name, one in named.items()}


def test_a_stroke_is_seen_by_the_segmenter_and_can_be_taken_back(browser, address):
    found = visit(browser, address)
    page, before = found.page, found.colors()
    assert not found.enabled("undo")
    found.choose("tree")
    found.stroke()
    after = found.colors()
    assert after != before
    edits = found.edits()
    assert [stroke["concept"]["name"] for stroke in edits["strokes"]] == ["tree"]
    tree = ask(found, address, edits)["object/tree"]
    brush = covered(edits["strokes"][0]["mask"])
    gained, lost = (runs(tree[f"{kind}_runs"], tree["size"]) & brush for kind in ("gained", "lost"))
    assert gained.sum() - lost.sum() > 20
    row = page.locator('tr[data-concept="object/tree"]')
    assert row.locator("[data-gained]").get_attribute("data-gained") == str(tree["gained"])
    page.locator("[data-undo]").click()
    found.settle()
    assert found.colors() == before
    assert page.locator("[data-changes] tr").count() == 0
    page.locator("[data-redo]").click()
    found.settle()
    assert found.colors() == after
    page.locator("[data-mode=erase]").click()
    found.stroke()
    edits = found.edits()
    assert [stroke["mode"] for stroke in edits["strokes"]] == ["draw", "erase"]
    assert ask(found, address, edits).get("object/tree", {"after": 0})["after"] < tree["after"]
    page.locator("[data-reset]").click()
    found.settle()
    assert found.colors() == before
    assert not found.enabled("reset")
    page.locator("[data-undo]").click()
    found.settle()
    assert len(found.edits()["strokes"]) == 2
    assert found.errors == []
    assert [url for url in found.requests if not url.startswith((address, "blob:"))] == []
    page.context.close()


def test_a_painting_is_saved_opened_again_and_outlives_a_reload(browser, address, tmp_path):
    found = visit(browser, address)
    found.choose("tree")
    found.page.locator("[data-rule]").select_option("fullest")
    found.stroke()
    painted, edits = found.colors(), found.edits()
    assert [stroke["rule"] for stroke in edits["strokes"]] == ["fullest"]
    with found.page.expect_download() as download:
        found.page.locator("[data-save-picture]").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    found.page.reload()
    found.page.wait_for_selector("[data-units] button")
    found.settle()
    assert found.edits() == edits
    assert found.colors() == painted
    assert found.enabled("undo")
    found.page.locator("[data-reset]").click()
    found.page.locator('[data-image="0"]').click()
    found.settle()
    file = tmp_path / "edits.json"
    file.write_text(json.dumps(edits))
    found.page.locator("[data-file]").set_input_files(file)
    found.settle()
    assert found.edits() == edits
    assert found.colors() == painted
    for text, said in (
        ("{", "not JSON"),
        ("{}", "no edit list"),
        (json.dumps({**edits, "image": -1}), "image must"),
    ):
        file.write_text(text)
        found.page.locator("[data-file]").set_input_files(file)
        found.page.locator("[data-status]", has_text=said).wait_for()
    assert found.edits() == edits
    found.page.context.close()


def test_two_visitors_stay_apart(browser, address):
    one, other = visit(browser, address), visit(browser, address)
    second = one.page.context.new_page()
    second.goto(address)
    second.wait_for_selector("[data-units] button")
    blank = other.colors()
    one.page.bring_to_front()
    one.choose("tree")
    one.stroke()
    other.choose("grass")
    other.stroke(0.8)
    assert [stroke["concept"]["name"] for stroke in one.edits()["strokes"]] == ["tree"]
    assert [stroke["concept"]["name"] for stroke in other.edits()["strokes"]] == ["grass"]
    other.page.locator("[data-undo]").click()
    other.settle()
    assert other.colors() == blank
    second.reload()
    second.wait_for_selector("[data-units] button")
    assert not second.locator("[data-undo]").is_enabled()
    for found in (one, other):
        found.page.context.close()


def test_a_finger_paints_on_a_phone(browser, address):
    found = visit(browser, address, viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    page, before = found.page, found.colors()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    found.choose("tree")
    found.page.locator("#stage").scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)
    for place, kind in enumerate(["touchStart", *["touchMove"] * 5, "touchEnd"]):
        x, y = found.place(0.3 + 0.06 * place, 0.3)
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    found.settle()
    assert len(found.edits()["strokes"]) == 1
    assert found.colors() != before
    assert found.errors == []
    page.context.close()


def test_all_of_it_by_keyboard(browser, address):
    found = visit(browser, address)
    page = found.page
    page.keyboard.press("/")
    page.keyboard.type("tree")
    assert page.locator("[data-item]:visible").count() == 1
    page.keyboard.press("Escape")
    page.locator("[data-item]:visible button").focus()
    page.keyboard.press("Enter")
    assert page.locator("[data-paint][aria-checked=true]").inner_text().startswith("tree")
    page.locator("#stage").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.down(" ")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.keyboard.up(" ")
    found.settle()
    [stroke] = found.edits()["strokes"]
    brush = covered(stroke["mask"])
    assert brush[:32].sum() == brush.sum() > 40
    page.keyboard.press("z")
    found.settle()
    assert found.edits()["strokes"] == []
    page.keyboard.press("y")
    page.keyboard.press("e")
    assert page.locator("[data-mode=erase]").get_attribute("aria-checked") == "true"
    page.keyboard.down("c")
    assert page.locator("[data-flag]").is_visible()
    page.keyboard.up("c")
    assert page.locator("[data-flag]").is_hidden()
    page.keyboard.press("o")
    assert page.locator("[data-overlay]").get_attribute("aria-pressed") == "true"
    assert found.errors == []
    page.context.close()


def test_units_are_left_out_one_by_one(browser, address):
    found = visit(browser, address)
    page, before = found.page, found.colors()
    found.choose("tree")
    found.stroke()
    units = page.locator("[data-unit]")
    count = units.count()
    assert count == len(found.edits()["strokes"][0]["units"])
    units.first.click()
    found.settle()
    edits = found.edits()
    assert edits["off"] == [{"layer": edits["strokes"][0]["layer"], "unit": edits["strokes"][0]["units"][0]}]
    assert units.first.get_attribute("aria-pressed") == "false"
    for place in range(1, count):
        units.nth(place).click()
    found.settle()
    assert found.colors() == before
    page.locator("[data-undo]").click()
    found.settle()
    assert found.colors() != before
    page.context.close()


def test_a_server_that_is_gone_is_told_in_one_line(browser, address):
    found = visit(browser, address)
    status = found.page.locator("[data-status]", has_text="does not answer")
    with cut_off(found.page):
        found.choose("tree")
        found.page.mouse.click(*found.place(0.5, 0.3))
        status.wait_for()
    status.wait_for(state="hidden")
    found.settle()
    assert len(found.edits()["strokes"]) == 1
    found.page.context.close()
