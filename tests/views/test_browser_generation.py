"""The pages of erasure and insertion in a real browser: pictures load, names stay text, a telephone."""

import pytest
from test_browser import browser, watch

from generated import PAINTS, planted_studio
from unitscope.concepts.vocabulary import Concept
from unitscope.experiments.erasure import study_erasure
from unitscope.experiments.erasure_result import Target
from unitscope.experiments.placement import study_placement

__all__ = ["browser"]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generation")
    studio = planted_studio(48)
    few = {"draws": 2, "images": 12}
    erased = study_erasure(studio, ["ball", "tree"], counts=[1, 2], effects=PAINTS, **few)
    placed = study_placement(studio, ["ball", "tree"], count=2, places=2, least=2, **few)
    named = (erased.targets[0], Target(Concept(3, HOSTILE, "object"), "maps"))
    for study in (erased, placed):
        object.__setattr__(study, "targets", named)
    return [
        erased.page(folder / "erased"),
        placed.page(folder / "inserted"),
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
