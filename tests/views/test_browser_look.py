"""The live microscope in a real browser: what people do with mouse, finger and keyboard."""

import base64
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Locator, Page
from test_browser import browser, cut_off

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.interventions import compare_sights, open_lens, prepare_slide, see, turn
from unitscope.interventions.looking.lens import OtherName
from unitscope.interventions.looking.sights import find_at
from unitscope.interventions.looking.switches import Switch
from unitscope.lab.world.scenes import paint
from unitscope.lab.world.shading import render
from unitscope.views.look.project import LookProject
from unitscope.views.look.server import make_app

__all__ = ["browser"]
NEAR = 1e-6
CAMERA = """
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 240];
  const pen = canvas.getContext("2d");
  let hue = 0;
  const paint = () => {
    pen.fillStyle = `hsl(${hue += 40} 70% 50%)`;
    pen.fillRect(0, 0, 320, 240);
  };
  paint();
  setInterval(paint, 100);
  return canvas.captureStream(10);
};
"""
FORGET = """
const [key] = Object.keys(sessionStorage), kept = JSON.parse(sessionStorage[key]);
const slides = kept.slides.map((one) => ({ ...one, id: "gone" }));
window.onpagehide = () => (sessionStorage[key] = JSON.stringify({ ...kept, visit: "x".repeat(43), slides }));
"""
DROP = """([data, kind]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "scene.png", { type: "image/png" }));
  const event = kind === "drop"
    ? new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: files, bubbles: true });
  document.body.dispatchEvent(event);
}"""


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


def look_through(name, source, layers):
    network, images = us.load_network(name), us.open_source(source)
    run = us.dissect(network, images, layers, convention="pnas", confidences=Confidences(shifts=0))
    return LookProject(open_lens(network, run), images, images)


LAYERS = {"zoo:scene-classifier": ["layer3", "layer4"], "zoo:scene-transformer": ["blocks.2", "blocks.4"]}
on_one_network = pytest.mark.parametrize("project", ["zoo:scene-classifier"], indirect=True)


@pytest.fixture(scope="module", params=LAYERS)
def project(request):
    return look_through(request.param, "drawn:count=32,seed=3,size=64", LAYERS[request.param])


@pytest.fixture(scope="module")
def address(project):
    with served(make_app(project)) as found:
        yield found


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    Image.fromarray(render(paint(31, 2, 112, "beach")[1])[1]).save(path)
    return path


@dataclass
class Visit:
    """A visitor's page, what it asked for and what went wrong."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def settle(self) -> None:
        self.page.wait_for_timeout(40)
        self.page.wait_for_selector("body[data-state=ready]")

    def on(self, name: str, value: object = None) -> Locator:
        return self.page.locator(f"[data-{name}]" if value is None else f'[data-{name}="{value}"]')

    def click(self, name: str, value: object = None) -> None:
        self.on(name, value).first.click()
        self.settle()

    def place(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator("#stage").bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def classes(self, kind: str) -> dict[int, float]:
        rows = self.page.eval_on_selector_all(
            "[data-classes] tr",
            f"rows => rows.map(row => [row.dataset.row, row.querySelector('[data-{kind}]')?.dataset.{kind}])",
        )
        return {int(number): float(value) for number, value in rows if value is not None}

    def kept(self) -> dict:
        """What a reload would find: the page writes it down when it is left, if not before."""
        self.page.evaluate("void dispatchEvent(new Event('pagehide'))")
        return self.page.evaluate("JSON.parse(Object.values(sessionStorage)[0])")

    def caption(self) -> str:
        return self.on("caption").inner_text()

    def close(self) -> None:
        assert self.errors == []
        self.page.context.close()


def visit(browser, address: str, **options) -> Visit:
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(20_000)
    found = Visit(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    found.page.on("console", lambda said: found.errors.append(said.text) if said.type == "error" else None)
    found.page.goto(address)
    found.page.wait_for_selector("[data-cards] [data-card]")
    found.settle()
    return found


def sample(project, index=0):
    example = project.samples[index]
    return prepare_slide(project.lens, example.image, number=index)


def test_numbers_on_the_page_are_those_of_the_functions(browser, address, project):
    found = visit(browser, address)
    lens, slide = project.lens, sample(project)
    sight = see(lens, slide, lens.layers[-1])
    told = found.classes("before")
    assert list(told) == slide.order[: len(told)].tolist()
    assert all(abs(value - slide.probabilities[number]) < NEAR for number, value in told.items())
    cards = found.page.eval_on_selector_all(
        "[data-cards] li",
        "items => items.map(item => [item.dataset.unit, item.querySelector('[data-peak]').dataset.peak, "
        "item.querySelector('[data-contribution]').dataset.contribution])",
    )
    assert len(cards) == min(24, len(sight.firings))
    for unit, peak, added in ((int(unit), float(peak), float(added)) for unit, peak, added in cards):
        assert abs(peak - sight.peaks[unit]) < NEAR
        assert abs(added - sight.explanation.contributions[unit]) < NEAR
    unit = int(cards[0][0])
    found.click("card", unit)
    card = found.on("detail-body")
    card.locator("[data-top]").first.wait_for()
    best = project.lens.run[lens.layers[-1]].labels.best_iou[unit]
    assert max(
        float(one)
        for one in card.locator("[data-iou]").evaluate_all("all => all.map(one => one.dataset.iou || 0)")
    ) == pytest.approx(best, abs=NEAR)
    found.on("cards").locator(f'[data-off="{unit}"]').click(force=True)
    found.settle()
    found.on("classes").locator("[data-control]").first.wait_for(state="attached")
    expected = turn(lens, slide, [Switch(lens.layers[-1], (unit,))], draws=8)
    for kind, values in (
        ("before", expected.probabilities[0]),
        ("after", expected.probabilities[1]),
        ("control", expected.control_probabilities.mean(0)),
    ):
        assert found.classes(kind)
        assert all(abs(value - values[number]) < NEAR for number, value in found.classes(kind).items())
    found.close()


def test_switches_go_off_and_up_everywhere_and_under_a_brush_and_back(browser, address):
    found = visit(browser, address)
    page, before = found.page, found.classes("before")
    assert found.on("undo").is_disabled()
    concept = found.on("concepts").locator("button").first
    concept.click()
    found.settle()
    off = found.classes("after")
    assert off != before
    assert concept.get_attribute("aria-pressed") == "true"
    found.on("switches").locator("[data-knob=up]").click()
    found.settle()
    up = found.classes("after")
    assert up != off
    found.on("switches").locator("[data-knob=reach]").evaluate(
        "slider => { for (const value of [70, 40, 0]) { slider.value = value; "
        "slider.dispatchEvent(new Event('input', {bubbles: true})); } "
        "slider.dispatchEvent(new Event('change', {bubbles: true})); }"
    )
    found.settle()
    none = found.classes("after")
    assert all(abs(value - found.classes("before")[number]) < NEAR for number, value in none.items())
    page.keyboard.press("z")
    found.settle()
    assert found.classes("after") == up
    page.keyboard.press("y")
    found.settle()
    assert found.classes("after") == none
    page.keyboard.press("z")
    page.keyboard.press("z")
    found.settle()
    assert found.classes("after") == off
    found.click("reset")
    found.click("brush", "yes")
    concept.click()
    found.settle()
    assert found.on("switches").inner_text().count("paint on the picture") == 1
    page.mouse.move(*found.place(0.2, 0.2))
    page.mouse.down()
    for x in np.linspace(0.2, 0.8, 6):
        page.mouse.move(*found.place(float(x), 0.3))
    page.mouse.up()
    found.settle()
    part = found.classes("after")
    assert part not in (off, before)
    assert page.locator("[data-outlines] path.brush").count() == 1
    found.click("clear")
    assert found.classes("after") == {}
    found.close()
    assert [url for url in found.requests if not url.startswith((address, "blob:"))] == []


def test_pictures_come_by_file_drop_paste_and_camera(browser, address, scene):
    found = visit(browser, address, permissions=["camera"])
    page = found.page
    page.locator("[data-picture-file]").set_input_files(scene)
    page.locator("[data-own] button").wait_for()
    found.settle()
    assert found.caption() == "scene.png"
    first = found.classes("before")
    data = base64.b64encode(scene.read_bytes()).decode()
    for number, kind in ((2, "drop"), (3, "paste")):
        page.evaluate(DROP, [data, kind])
        found.on("own").locator("button").nth(number - 1).wait_for()
        found.settle()
        assert found.classes("before") == first
    page.evaluate(CAMERA)
    found.click("camera")
    found.on("caption").filter(has_text="camera").wait_for()
    found.settle()
    first = page.locator("[data-cards] img").first.get_attribute("src")
    page.locator(f'[data-cards] li:first-child img:not([src="{first}"])').wait_for()
    found.click("camera")
    assert found.on("own").locator("button").count() == 4
    broken = scene.with_name("broken.png")
    broken.write_bytes(scene.read_bytes()[:200])
    page.locator("[data-picture-file]").set_input_files(broken)
    found.on("status").filter(has_text="broken.png").wait_for()
    assert found.on("own").locator("button").count() == 4
    found.errors = [line for line in found.errors if "400" not in line and "415" not in line]
    found.close()


def test_two_pictures_and_an_attack_are_compared_unit_by_unit(browser, address, project):
    found = visit(browser, address)
    found.click("compare")
    found.click("image", 1)
    found.on("moved").locator("tr").first.wait_for()
    found.settle()
    pair = [see(project.lens, sample(project, index), project.lens.layers[-1]) for index in (0, 1)]
    expected = compare_sights(project.lens, *pair)
    row = found.on("moved").locator("tr").first
    unit = int(row.get_attribute("data-unit"))
    change = float(row.locator("[data-change]").get_attribute("data-change"))
    assert abs(change - expected.change[unit]) < NEAR
    rows = found.on("moved").locator("tr").evaluate_all("rows => rows.map(row => Number(row.dataset.unit))")
    assert rows == expected.order[: len(rows)].tolist()
    row.hover()
    found.click("swap")
    swapped = found.on("moved").locator("tr").first.locator("[data-change]").get_attribute("data-change")
    assert float(swapped) == -change
    found.click("compare-end")
    assert found.on("comparison").is_hidden()
    found.click("attack")
    found.on("attack-note").filter(has_text="became").wait_for()
    found.on("moved").locator("tr").first.wait_for()
    found.settle()
    assert "attacked" in found.on("second-caption").inner_text()
    found.close()


def test_places_and_cards_light_each_other_up(browser, address, project):
    found = visit(browser, address)
    page = found.page
    card = found.on("cards").locator("li").first
    card.hover()
    assert page.locator("[data-outlines] path.dim").count() == 1
    sight = see(project.lens, sample(project), project.lens.layers[-1])
    largest = max(sight.firings, key=lambda one: one.area)
    rows, columns = sight.grid.mask_size
    inside = np.flatnonzero(np.repeat(np.arange(len(largest.outline.runs)) % 2 == 1, largest.outline.runs))
    row, column = divmod(int(inside[len(inside) // 2]), columns)
    page.mouse.move(*found.place((column + 0.5) / columns, (row + 0.5) / rows))
    chip = found.on("here").locator(f'[data-card="{largest.unit}"]')
    chip.wait_for()
    found.on("here").locator('[data-activation]:not([data-activation=""])').first.wait_for()
    place = find_at(sight, (column + 0.5) / columns, (row + 0.5) / rows)[1]
    told = (
        found.on("here")
        .locator("[data-activation]")
        .evaluate_all("all => all.map(one => [Number(one.dataset.card), Number(one.dataset.activation)])")
    )
    assert [unit for unit, _ in told] == [one.unit for one in place[: len(told)]]
    assert all(abs(value - one.activation) < NEAR for (_, value), one in zip(told, place, strict=False))
    chip.click()
    found.on("detail").wait_for()
    earlier = project.lens.layers[0]
    found.click("layer", earlier)
    assert found.on("layer", earlier).get_attribute("aria-selected") == "true"
    assert found.on("cards").locator("li").count() > 0
    found.on("search").fill("sky")
    names = found.on("cards").locator(".name").all_inner_texts()
    assert all("sky" in name for name in names)
    found.close()


def test_a_reload_and_a_forgetful_server_lose_nothing(browser, address, project, scene):
    found = visit(browser, address)
    page = found.page
    page.locator("[data-picture-file]").set_input_files(scene)
    page.locator("[data-own] button").wait_for()
    found.settle()
    earlier = project.lens.layers[0]
    found.click("layer", earlier)
    found.on("concepts").locator("button").first.click()
    found.settle()
    held = found.caption(), found.classes("after"), found.on("switches").inner_text()
    for forget in (False, True):
        if forget:
            page.evaluate(FORGET)
        page.reload()
        page.wait_for_selector("[data-cards] [data-card]")
        found.settle()
        assert (found.caption(), found.classes("after"), found.on("switches").inner_text()) == held
        assert found.on("layer", earlier).get_attribute("aria-selected") == "true"
        assert found.on("undo").is_enabled()
    kept = found.kept()
    picture = kept["slides"][-1]["id"]
    answer = page.request.delete(f"{address}api/pictures/{picture}", headers={"x-visit": kept["visit"]})
    assert answer.ok
    found.click("undo")
    found.click("redo")
    assert found.classes("after") == held[1]
    assert any("403" in line for line in found.errors)
    assert any("404" in line for line in found.errors)
    found.errors = [line for line in found.errors if "403" not in line and "404" not in line]
    found.close()


@on_one_network
def test_two_visitors_do_not_mix(browser, address, scene):
    one, other = visit(browser, address), visit(browser, address)
    one.page.locator("[data-picture-file]").set_input_files(scene)
    one.page.locator("[data-own] button").wait_for()
    one.settle()
    other.click("image", 3)
    assert other.on("own").locator("button").count() == 0
    picture, token = one.kept()["slides"][-1]["id"], other.kept()["visit"]
    answer = other.page.request.get(f"{address}api/pictures/{picture}", headers={"x-visit": token})
    assert answer.status == 404
    one.close()
    other.close()


def test_a_session_is_saved_opened_again_and_opens_without_a_server(browser, address, tmp_path):
    found = visit(browser, address)
    page = found.page
    found.on("cards").locator("[data-up]").first.click(force=True)
    found.settle()
    found.click("compare")
    found.click("image", 2)
    unit = found.on("cards").locator("[data-card]").first.get_attribute("data-card")
    found.on("cards").locator("[data-card]").first.click()
    found.settle()
    held = found.classes("after")
    files = {}
    for name, suffix in (("save-json", "json"), ("save-page", "html")):
        with page.expect_download() as download:
            found.click(name)
        files[suffix] = tmp_path / f"look.{suffix}"
        download.value.save_as(files[suffix])
    saved = json.loads(files["json"].read_text())
    assert saved["format"] == "unitscope look"
    found.click("reset")
    found.click("image", 5)
    page.locator("[data-session-file]").set_input_files(files["json"])
    found.on("switches").locator("li").wait_for()
    found.settle()
    again = found.classes("after")
    assert all(abs(again[number] - value) < 1e-5 for number, value in held.items())
    assert found.on("comparison").is_visible()
    alone = Visit(browser.new_context(viewport={"width": 1280, "height": 900}, offline=True).new_page())
    alone.page.on("request", lambda request: alone.requests.append(request.url))
    alone.page.on("pageerror", lambda error: alone.errors.append(str(error)))
    alone.page.on("console", lambda said: alone.errors.append(said.text) if said.type == "error" else None)
    alone.page.goto(files["html"].as_uri())
    alone.page.wait_for_selector("[data-cards] [data-card]")
    alone.settle()
    assert all(abs(value - held[number]) < NEAR for number, value in alone.classes("after").items())
    assert alone.on("detail").is_visible()
    assert (
        alone.on("detail-body").locator("[data-top]").count()
        == found.on("detail-body").locator("[data-top]").count()
        > 0
    )
    assert alone.on("moved").locator("tr").count() > 0
    assert alone.on("attack").is_hidden()
    assert alone.on("cards").locator("[data-off]").count() == 0
    alone.on("cards").locator(f'li[data-unit="{unit}"]').hover()
    assert alone.page.locator("[data-outlines] path.dim").count() == 1
    assert [url for url in alone.requests if not url.startswith(("file:", "data:"))] == []
    alone.close()
    found.close()


@on_one_network
def test_a_finger_on_a_phone_and_all_of_it_by_keyboard(browser, address):
    phone = visit(browser, address, viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 400
    phone.on("cards").locator("[data-off]").first.tap()
    phone.settle()
    assert phone.classes("after")
    phone.on("cards").locator("[data-card]").first.tap()
    phone.on("detail").wait_for()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 400
    phone.close()
    found = visit(browser, address, color_scheme="dark")
    page = found.page
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    found.on("cards").locator("[data-card]").first.focus()
    assert page.locator("[data-outlines] path.dim").count() == 1
    page.keyboard.press("x")
    found.settle()
    assert found.on("switches").locator("li").count() == 1
    assert "now" in found.on("spoken").text_content()
    page.keyboard.press("u")
    found.settle()
    assert found.on("switches").locator("[data-knob=up]").get_attribute("aria-pressed") == "true"
    page.keyboard.press("r")
    page.keyboard.press(",")
    found.settle()
    assert found.on("layer", "layer3").get_attribute("aria-selected") == "true"
    page.keyboard.press("c")
    found.on("image", 2).focus()
    page.keyboard.press("Enter")
    found.on("comparison").wait_for()
    page.keyboard.press("b")
    found.on("concepts").locator("button").first.press("Enter")
    page.locator("#stage").focus()
    page.keyboard.down(" ")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    page.keyboard.up(" ")
    found.settle()
    assert found.classes("after")
    found.close()


@on_one_network
def test_a_server_that_is_gone_is_told_in_one_line(browser, address):
    found = visit(browser, address)
    status = found.on("status").filter(has_text="does not answer")
    with cut_off(found.page):
        found.on("cards").locator("[data-off]").first.click(force=True)
        status.wait_for()
    status.wait_for(state="hidden")
    found.settle()
    assert found.classes("after")
    found.page.context.close()


@pytest.mark.parametrize("project", ["zoo:scene-transformer"], indirect=True)
def test_a_transformer_tells_of_its_class_token(browser, address, project):
    found = visit(browser, address)
    told = see(project.lens, sample(project), "blocks.4").explanation.class_tokens[:, 0]
    assert "class token" in found.on("tokens").inner_text()
    card = found.on("cards").locator("[data-card]").first
    unit = int(card.get_attribute("data-card"))
    assert f"class token {told[unit]:.2f}" in card.get_attribute("title")
    found.close()


def test_names_are_formulas_words_and_latents_with_their_own_trust(browser):
    """A name by a formula or a word is never shown with the IoU and q-value of the concept."""
    sae = "layer4+random-sae:48:8:0"
    network, images = us.load_network("zoo:scene-classifier"), us.open_source("drawn:count=32,seed=3,size=64")
    run = us.dissect(network, images, ["layer4", sae], convention="pnas", confidences=Confidences(shifts=9))
    slide = prepare_slide(lens := open_lens(network, run), images[0].image)
    first, second, third = (one.unit for one in see(lens, slide, "layer4").ranked[:3])
    names = {
        "formula": {"layer4": {first: OtherName("sky AND NOT cloud", iou=0.5, q_value=0.01)}},
        "word": {
            "layer4": {first: OtherName("dusk", score=3.25), second: OtherName("haze", 2.0, q_value=0.2)}
        },
    }
    lens = open_lens(network, run, names=names)
    with served(make_app(LookProject(lens, images, images))) as address:
        found = visit(browser, address)
        assert f"of {len(run[sae])} latents" in found.on("fired").inner_text()
        assert f"sum over the latents of {sae}" in found.on("sum-note").inner_text()
        latent = see(lens, slide, sae).ranked[0].unit
        found.on("cards").locator(f'[data-off="{latent}"]').click(force=True)
        found.settle()
        expected = turn(lens, slide, [Switch(sae, (latent,))], draws=8).probabilities[1]
        assert all(abs(value - expected[number]) < NEAR for number, value in found.classes("after").items())
        found.click("layer", "layer4")
        cards = [found.on("cards").locator(f'[data-card="{unit}"]') for unit in (first, second, third)]
        known = lens.run["layer4"][third]
        by_concept = f"IoU {known.iou:.2f} · q {known.q_value:.3f}"
        assert by_concept in cards[2].inner_text()
        for naming, words in (
            ("formula", ("sky AND NOT cloud", "IoU 0.50 · q 0.010", "name")),
            ("word", ("dusk", "score 3.25", "name unsure")),
        ):
            found.on("naming").select_option(naming)
            found.settle()
            assert cards[0].locator(".name").inner_text() == words[0]
            assert cards[0].locator(".trust").inner_text() == words[1]
            assert cards[0].locator(".name").get_attribute("class") == words[2]
            assert by_concept in cards[2].inner_text()
        assert cards[1].locator(".name").get_attribute("title") == "haze: q is above 0.05"
        cards[0].click()
        found.on("detail-body").filter(has_text="formula sky AND NOT cloud (IoU 0.500 · q 0.010)").wait_for()
        found.close()
