"""The demo's page in a real browser: every chapter, every picture, every link."""

from functools import partial
from pathlib import Path

import pytest
from test_browser import browser, watch

from unitscope.cli import main
from unitscope.experiments import study_erasure, study_placement, study_removal
from unitscope.interventions.inversion import Steps
from unitscope.lab import demo
from unitscope.lab.given_scenes import paint_given

__all__ = ["browser"]
CHAPTERS = [
    "The drawn world",
    "A classifier, by truth and by a segmenter",
    "What its units do",
    "A unit in a sentence",
    "Directions between units",
    "A generator",
    "Units that paint",
    "Painting on a given picture",
    "A network of this world",
]


def see_pictures(page):
    """Load every picture, also one that waits to be scrolled to: to go away would cut it off."""
    shown = "[...document.images].filter(one => one.src)"
    page.evaluate(f"Promise.all({shown}.map(one => (one.loading = 'eager', one.decode())))")


def smaller(study, **fewer):
    """The study over as little as this, whatever it is asked for."""
    return lambda *given, **options: study(*given, **{**options, **fewer})


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "FEWEST", 96)
        patch.setattr(demo, "PAINTED", ("tree",))
        patch.setattr(demo, "CLASSIFIER_LAYERS", ("layer4", "layer5"))
        patch.setattr(demo, "SENTENCES", 8)
        patch.setattr(demo, "SENTENCE_DRAWS", 20)
        patch.setattr(demo, "SENTENCE_IMAGES", 8)
        patch.setattr(demo, "LATENTS", 32)
        patch.setattr(demo, "FITTING_STEPS", 2)
        patch.setattr(demo, "GENERATOR_LAYERS", ("layer2", "layer3"))
        patch.setattr(demo, "PRETRAINED_LAYERS", ("_conv_head",))
        classes = ["garden", "classroom", "market"]  # of which there are enough
        patch.setattr(demo, "study_removal", partial(study_removal, classes=classes, draws=3))
        patch.setattr(demo, "study_erasure", smaller(study_erasure, images=8, counts=(20,), draws=2))
        patch.setattr(demo, "study_placement", smaller(study_placement, images=8, draws=2))
        patch.setattr(demo, "paint_given", smaller(paint_given, images=16, steps=Steps(2, 2, 2)))
        assert main(["demo", "--count", "16", "--out", str(folder / "demo")]) == 0
    return (folder / "demo").rename(folder / "moved") / "index.html"


def test_a_visitor_walks_the_tour(browser, tour):
    watched = watch(browser, tour)
    page = watched.page
    assert page.locator("h2").all_text_contents() == CHAPTERS
    sizes = page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert len(sizes) > 20
    assert min(sizes) > 0
    for name in CHAPTERS:
        page.locator("nav a", has_text=name).click()
        assert page.locator("h2", has_text=name).is_visible()
    links = page.eval_on_selector_all(".links a", "all => all.map(one => one.href)")
    assert len(links) == 12
    see_pictures(page)
    for link in links:
        page.goto(link)
        assert page.locator("h1, h2").first.is_visible()
        see_pictures(page)
    page.wait_for_timeout(100)
    assert watched.errors == []
    inside = tour.parent.as_uri() + "/"
    assert [url for url in watched.requests if not url.startswith((inside, "data:", "blob:"))] == []
    page.close()


def test_figures_of_the_tour_are_those_of_its_runs(browser, tour):
    from unitscope.dissection.storage import load

    layer = load(tour.parent / "true")["layer5"]
    page = watch(browser, tour).page
    told = page.locator("dt", has_text="detectors, true labels").locator("xpath=following-sibling::dd")
    assert told.inner_text() == f"{layer.detectors} of {len(layer)}"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tour_fits_a_telephone(browser, tour, scheme):
    page = watch(browser, tour, viewport={"width": 400, "height": 800}, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()
