"""The pages of erasure and insertion in a real browser: pictures load, names stay text, a telephone."""

import pytest
from test_browser import browser, watch

from generated import PAINTS, planted_studio
from unitscope.concepts.vocabulary import Concept
from unitscope.experiments.erasure import Target, study_erasure
from unitscope.experiments.placement import study_placement
from unitscope.interventions.unit_values import measure_levels
from unitscope.views.generator_pages import write_erasure_page, write_placement_page

__all__ = ["browser"]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generation")
    studio = planted_studio(48)
    targets = [Target(studio.find("ball"), "maps"), Target(studio.find("tree"), "maps")]
    erased = study_erasure(studio, targets, counts=[1, 2], draws=2, images=12, effects=PAINTS)
    levels = {"maps": measure_levels(studio.generator, "maps", studio.segmenter, 48)}
    placed = study_placement(studio, targets, levels, count=2, places=2, draws=2, images=12)
    named = (erased.targets[0], Target(Concept(3, HOSTILE, "object"), "maps"))
    for study in (erased, placed):
        object.__setattr__(study, "targets", named)
    return [
        write_erasure_page(erased, studio, folder / "erased"),
        write_placement_page(placed, studio, levels, folder / "inserted", least=2),
    ]


@pytest.mark.parametrize("place", [0, 1])
def test_all_is_there_and_names_stay_text(browser, pages, place):
    watched = watch(browser, pages[place])
    page = watched.page
    images = page.locator("img")
    assert images.count() >= 4
    for number in range(images.count()):
        images.nth(number).scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("nav a", has_text=HOSTILE).count() == 1
    page.locator("nav a").nth(1).click()
    assert page.locator("#concept-1 h2").is_visible()
    assert watched.errors == []
    inside = pages[place].parent.as_uri() + "/"
    assert [url for url in watched.requests if not url.startswith((inside, "data:"))] == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", [0, 1])
def test_the_pages_fit_a_telephone(browser, pages, place, scheme):
    page = browser.new_page(viewport={"width": 400, "height": 800}, color_scheme=scheme)
    page.goto(pages[place].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()
