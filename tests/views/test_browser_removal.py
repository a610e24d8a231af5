"""The page of a study of removal in a real browser: classes, units, figures, links, a telephone."""

from pathlib import Path

import pytest
from made_dissection import MadeSource, made_dissection
from made_removal import made_removal
from test_browser import browser, watch

from unitscope.experiments import Pictures
from unitscope.views.report import write_report

__all__ = ["browser"]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("removal")
    run, source = made_dissection(layers=("_conv_head",)), MadeSource()
    run.save(folder / "run")
    write_report(run, source, folder / "run" / "report")
    study = made_removal(run["_conv_head"])
    study.page(folder / "out", pictures=Pictures(run, source, folder / "run"))
    return folder / "out" / "index.html"


def test_a_visitor_goes_from_a_class_to_its_units_and_their_report(browser, page_file):
    watched = watch(browser, page_file)
    page = watched.page
    study = made_removal(made_dissection(layers=("_conv_head",))["_conv_head"])
    names = [study.classes[target] for target in study.targets]
    assert page.locator("nav a").all_text_contents() == [name.replace("_", " ") for name in names]
    page.locator("nav a").nth(1).click()
    part = page.locator(f"#class-{study.targets[1]}")
    assert part.locator("h2").is_visible()
    assert part.locator(".unit").count() == 4
    images = page.locator("img")
    for place in range(images.count()):
        images.nth(place).scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    unit = int(study.ranked.order[study.targets[1], 0])
    part.locator(".unit h3 a").first.click()
    page.locator("dialog[open]").wait_for()
    assert page.url.endswith(f"#unit/_conv_head/{unit}")
    assert watched.errors == []
    inside = page_file.parents[1].as_uri() + "/"
    assert [url for url in watched.requests if not url.startswith((inside, "data:"))] == []
    page.close()


def test_hostile_names_of_classes_and_concepts_stay_text(browser, page_file):
    page = watch(browser, page_file).page
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("nav a", has_text="<b>bold</b>").count() == 1
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_telephone(browser, page_file, scheme):
    page = watch(browser, page_file, viewport={"width": 400, "height": 800}, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()


def test_figures_turn_light_where_the_system_is_dark(browser, page_file):
    figure = page_file.parent / "figures" / "mean.svg"
    colors = []
    for scheme in ("light", "dark"):
        page = watch(browser, figure, color_scheme=scheme).page
        script = "getComputedStyle([...document.querySelectorAll('text')].at(-1)).fill"
        colors.append(page.evaluate(script))
        page.close()
    assert colors == ["rgb(27, 27, 25)", "rgb(236, 236, 234)"]
