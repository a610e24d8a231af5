"""The tour and its pictures: strips of units, sheets, one page that can be moved, figures."""

import re

import numpy as np
import pytest
from made_dissection import HOSTILE, MadeSource, made_dissection
from PIL import Image

from unitscope.errors import RunError
from unitscope.lab.tour import Chapter, Row, draw_rows, write_tour
from unitscope.views.drawing import SILENT, draw_mask, draw_sheet, draw_strip, pick_units
from unitscope.views.figures import TICKS, Panel, draw_panels


@pytest.fixture(scope="module")
def made():
    return made_dissection(), MadeSource()


def test_the_best_unit_of_each_of_the_best_concepts_is_picked(made):
    layer = next(iter(made[0].layers.values()))
    units = pick_units(layer, 4)
    concepts = [layer[unit].concept.name for unit in units]
    overlaps = [layer[unit].iou for unit in units]
    assert len(set(concepts)) == 4
    assert overlaps == sorted(overlaps, reverse=True)
    assert overlaps[0] == max(unit.iou for unit in layer if unit.detector)


def test_a_strip_is_the_image_where_the_unit_is_active_and_dark_elsewhere(made):
    dissection, source = made
    layer = next(iter(dissection))
    found, side = dissection[layer], dissection.frame.size[0]
    unit = pick_units(found, 1)[0]
    strip = np.asarray(draw_strip(dissection, source, layer, unit, count=2, side=side).convert("RGB"))
    image = dissection.frame.fit_image(source[int(found.exemplars.images[unit, 0])].image)
    mask = Image.fromarray(draw_mask(found.exemplars.mask_runs(unit, 0), found.mask_size) * np.uint8(255))
    lit = np.asarray(mask.resize((side, side), Image.Resampling.BILINEAR))
    first = strip[:, :side].astype(int)
    assert strip.shape == (side, 2 * side + 4, 3)
    assert np.abs(first - image)[lit == 255].max(initial=0) <= 1
    assert np.abs(first - (image * SILENT).astype(int))[lit == 0].max() <= 1


def test_runs_become_a_mask():
    runs = np.array([[0, 1, 3], [2, 0, 1]], np.uint16)
    assert draw_mask(runs, (3, 4)).tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_a_sheet_has_its_images_in_rows():
    images = [np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = np.asarray(draw_sheet(images, columns=2, side=4, gap=1))
    assert sheet.shape == (9, 9, 3)
    assert [sheet[0, 0, 0], sheet[0, 5, 0], sheet[5, 0, 0], sheet[5, 5, 0]] == [10, 20, 30, 255]


def test_the_page_is_whole_wherever_it_lies(made, tmp_path):
    dissection, source = made
    rows = draw_rows(dissection, source, next(iter(dissection)), tmp_path / "a" / "pictures", "x", 2)
    chapter = Chapter("One", "text", [("units", "3")], rows[0].picture, "a picture", {"Units": rows})
    write_tour([chapter, Chapter("Two", "more")], tmp_path / "a", title="Tour", lead="Lead")
    moved = (tmp_path / "a").rename(tmp_path / "b")
    page = (moved / "index.html").read_text("utf-8")
    named = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert {row.picture for row in rows} <= set(named)
    assert [name for name in named if not name.startswith("data:") and not (moved / name).is_file()] == []
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page) == ["One", "Two"]


def test_nothing_of_a_name_becomes_markup(tmp_path):
    rows = [Row(name, "object", 1, 0.5, "none.png") for name in HOSTILE]
    write_tour([Chapter(HOSTILE[0], HOSTILE[2], columns={"a": rows})], tmp_path, title="t", lead="l")
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "<script" not in page


def test_the_same_tour_has_the_same_bytes(tmp_path):
    pages = [write_tour([Chapter("a", "b")], tmp_path / name, title="t", lead="l") for name in "xy"]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_page_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="name another folder"):
        write_tour([], tmp_path / "file", title="t", lead="l")


def panel(points=3):
    return Panel("a title", "strength", {"one": [(7000.0 + k, 0.5, 0.1) for k in range(points)]})


def test_a_figure_has_its_words_and_the_same_bytes_again(tmp_path):
    first, second = (draw_panels([panel()], tmp_path / f"{name}.svg", y="right") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert all(word in first.read_text() for word in ("a title", "strength", "one", "right"))


def test_a_long_axis_is_thinned(tmp_path):
    text = draw_panels([panel(40)], tmp_path / "long.svg", y="").read_text()
    written = [f">{7000 + k}<" in text for k in range(40)]
    assert 0 < sum(written) <= TICKS


def test_a_figure_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="name another folder"):
        draw_panels([panel()], tmp_path / "file" / "a.svg", y="")
