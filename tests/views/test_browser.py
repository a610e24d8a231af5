"""The report in a real browser, opened from disk: what people do, and that nothing else is asked for."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from made_dissection import HOSTILE, MadeSource, made_dissection
from playwright.sync_api import Browser, Page, sync_playwright

from unitscope.views.report import write_report

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page behind another one moves on at its usual pace.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]


@dataclass
class Watched:
    """A page with what it asked for and what went wrong."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def cards(self) -> list[str]:
        return self.page.locator(".card .name").all_text_contents()

    def result(self) -> str:
        return self.page.locator("[data-result]").inner_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("UNITSCOPE_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.fail("no chromium on the path; install it, or name one in UNITSCOPE_CHROMIUM")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@contextmanager
def cut_off(page: Page) -> Iterator[None]:
    """Inside the block no server answers the page, which is waited for at its beginning and its end."""
    # Not by `page.route`: one request of a hundred that were sent right after it still reached the server.

    def set_offline(offline: bool) -> None:
        page.context.set_offline(offline)
        page.wait_for_function("(offline) => fetch('/').then(() => !offline, () => offline)", arg=offline)

    set_offline(True)
    yield
    set_offline(False)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    (run / "units.csv").write_text("layer,unit\n")
    return write_report(made_dissection(), MadeSource(), run / "report")


def watch(browser: Browser, report: Path, address: str = "", **options: object) -> Watched:
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    watched = Watched(page)
    page.on("request", lambda request: watched.requests.append(request.url))
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("requestfailed", lambda request: watched.errors.append(f"failed {request.url}"))
    page.on(
        "console",
        lambda message: watched.errors.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("dialog", lambda dialog: watched.errors.append(f"dialog {dialog.message}"))
    page.goto(report.as_uri() + address)
    return watched


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Watched]:
    watched = watch(browser, report)
    yield watched
    watched.page.wait_for_timeout(100)
    inside = report.parent.as_uri() + "/"
    assert watched.errors == []
    assert [url for url in watched.requests if not url.startswith((inside, "data:"))] == []
    watched.page.close()


def test_gallery_shows_units_best_first_with_masks(opened: Watched) -> None:
    assert opened.result() == "192 units"
    ratios = [float(text) for text in opened.page.locator(".card .value").all_text_contents() if text]
    assert ratios == sorted(ratios, reverse=True)
    opened.page.locator(".card .edge").first.wait_for(state="attached")
    image = opened.page.locator(".card img").first
    assert "active region" in (image.get_attribute("alt") or "")


def test_search_finds_concepts_and_unit_numbers(opened: Watched) -> None:
    opened.page.fill("[name=query]", "whe")
    assert set(opened.cards()) == {"wheel"}
    opened.page.fill("[name=query]", "unit 12")
    assert opened.result() == "3 of 192 units"


def test_hostile_names_stay_text(opened: Watched) -> None:
    opened.page.fill("[name=query]", "onerror")
    assert set(opened.cards()) == {HOSTILE[0]}
    assert opened.page.locator("img[src=x]").count() == 0


def test_sorting_orders_the_cards_both_ways(opened: Watched) -> None:
    opened.page.select_option("[name=sort]", "unit")
    first = opened.page.locator(".card .number").first
    assert first.inner_text() == "0"
    opened.page.click("[data-turn]")
    assert first.inner_text() == "63"
    opened.page.select_option("[name=sort]", "name")
    names = [name.lower() for name in opened.cards()]
    assert names[0] != names[-1]


def test_dead_units_come_last_by_name_and_say_so(opened: Watched) -> None:
    opened.page.select_option("[name=sort]", "name")
    opened.page.fill("[name=query]", "63")
    assert "never active" in opened.cards()


def test_filters_narrow_the_gallery(opened: Watched) -> None:
    made = made_dissection()
    opened.page.select_option("[name=layer]", label="_conv_head")
    opened.page.check("[name=detectors]")
    assert opened.result() == f"{made['_conv_head'].detectors} of 192 units"
    opened.page.click(".chip:has-text('material')")
    wanted = [unit for unit in made["_conv_head"] if unit.detector and unit.concept.category == "material"]
    assert opened.result() == f"{len(wanted)} of 192 units"
    opened.page.check("[name=sure]")
    sure = [unit for unit in wanted if unit.q_value < 0.05]
    assert opened.result() == f"{len(sure)} of 192 units"


def test_nothing_found_offers_to_clear_the_filters(opened: Watched) -> None:
    opened.page.fill("[name=query]", "no such thing")
    assert opened.page.locator("[data-empty]").is_visible()
    opened.page.click("[data-reset]")
    assert opened.result() == "192 units"


def test_unit_opens_steps_and_closes_by_keyboard(opened: Watched) -> None:
    page = opened.page
    page.locator(".card a").first.focus()
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    first, address = page.locator(".detail-bar p").inner_text(), page.url
    assert "#unit/" in address
    assert page.locator("dialog tbody tr").count() == 7
    page.keyboard.press("ArrowRight")
    assert page.locator(".detail-bar p").inner_text() != first
    assert page.url != address
    page.keyboard.press("ArrowLeft")
    assert page.locator(".detail-bar p").inner_text() == first
    page.keyboard.press("Escape")
    page.locator("dialog[open]").wait_for(state="hidden")
    assert "#unit/" not in page.url
    assert page.evaluate("document.activeElement.closest('.card') !== null")


def test_address_opens_a_unit(browser: Browser, report: Path) -> None:
    watched = watch(browser, report, "#unit/_blocks.10/7")
    assert watched.page.locator(".detail-bar p").inner_text() == "unit 7 · _blocks.10"
    assert watched.errors == []
    watched.page.close()


def test_address_of_no_unit_opens_nothing(browser: Browser, report: Path) -> None:
    watched = watch(browser, report, "#unit/%zz/7")
    assert watched.page.locator("dialog[open]").count() == 0
    assert watched.errors == []
    watched.page.close()


def test_concepts_sort_and_lead_to_their_units(opened: Watched) -> None:
    page = opened.page
    page.click("[data-view=concepts]")
    page.click("[data-column=label]")
    assert page.locator("[aria-sort=ascending]").inner_text() == "Concept"
    page.click("tbody button:text-is('car')")
    assert set(opened.cards()) == {"car"}
    page.click("[data-concept-chip]")
    assert opened.result() == "192 units"


def test_bar_of_the_chart_filters_the_gallery(opened: Watched) -> None:
    opened.page.locator(".layer:not([hidden]) .bar").first.click()
    assert len(set(opened.cards())) == 1


def test_tabs_switch_the_layer_by_keyboard(opened: Watched) -> None:
    opened.page.locator("[role=tab]").last.focus()
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.locator("[role=tab][aria-selected=true]").inner_text().split()[0] == "_blocks.5"
    assert opened.page.locator(".layer:visible").count() == 1


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(browser: Browser, report: Path, width: int, scheme: str) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    watched = watch(browser, report, **options)
    page = watched.page
    for act in ("0", "document.querySelector('[data-view=concepts]').click()"):
        page.evaluate(act)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_without_scripts_the_tables_remain(browser: Browser, report: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(report.as_uri())
    assert "needs JavaScript" in page.locator("noscript").inner_text()
    assert page.locator("table.layers tbody tr").count() == 3
    assert page.locator(".layer:visible").count() == 3
    assert not page.locator(".explorer").is_visible()
    page.close()


def test_eight_thousand_latents_open_by_held_out_iou(browser: Browser, tmp_path: Path) -> None:
    made = made_dissection(8192, ("layer4",))
    layer = replace(made["layer4"], sparse=True)
    report = write_report(replace(made, layers={"layer4": layer}), MadeSource(), tmp_path / "report")
    start = time.perf_counter()
    watched = watch(browser, report)
    watched.page.locator(".card .picture img").first.wait_for()
    print(f"first card after {time.perf_counter() - start:.2f} s")
    assert layer.confidence is not None
    best = int(layer.confidence.heldout.argmax())
    assert watched.page.locator(".card .number").first.inner_text() == str(best)
    for order in ("name", "q", "iou"):
        start = time.perf_counter()
        watched.page.select_option("[name=sort]", order)
        print(f"by {order} after {time.perf_counter() - start:.2f} s")
    assert watched.page.locator(".card .number").first.inner_text() == str(
        int(layer.labels.best_iou.argmax())
    )
    start = time.perf_counter()
    watched.page.fill("[name=query]", "car")
    assert set(watched.cards()) == {"car"}
    print(f"found after {time.perf_counter() - start:.2f} s")
    assert watched.page.locator(".card").count() <= 300
    watched.page.click("[data-view=concepts]")
    watched.page.locator(".concepts tbody tr").first.wait_for()
    assert watched.errors == []
    watched.page.close()
