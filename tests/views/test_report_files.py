import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_dissection import FRAME, HOSTILE, MadeSource, made_dissection
from PIL import Image

from unitscope.concepts.frames import Frame
from unitscope.dissection.counts import best_by_concept, count_concepts, count_layer
from unitscope.errors import RunError
from unitscope.views.report import write_report
from unitscope.views.report.charts import draw_concepts, draw_layers, gridlines
from unitscope.views.report.pictures import shrink


class Page(HTMLParser):
    """Collects the tags, the addresses and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def addresses(self) -> list[str]:
        pairs = [(name, value) for _, found in self.tags for name, value in found.items()]
        return [value or "" for name, value in pairs if name in ("src", "href")]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    (run / "units.csv").write_text("layer,unit\n")
    (run / "run.json").write_text("{}")
    return write_report(made_dissection(), MadeSource(), run / "report").parent


def read_script(path: Path) -> object:
    """The JSON value in a data script."""
    text = path.read_text(encoding="utf-8")
    assert "<" not in text
    value = re.sub(r"^unitscope\.[^=(]*(= |\(\d+, \d+, )", "", text)
    return json.loads(re.sub(r"\)?;\n$", "", value))


def test_report_lies_in_one_folder_and_asks_for_nothing_else(report: Path) -> None:
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    for address in page.addresses():
        assert address.startswith(("#", "data:,")) or (report / address).is_file(), address
    css = "".join(file.read_text(encoding="utf-8") for file in (report / "assets").glob("*.css"))
    assert "url(" not in css
    assert "@import" not in css


def test_hostile_names_are_text_not_markup(report: Path) -> None:
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    assert "img" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("onerror") for _, found in page.tags for name in found)
    inline = [found for tag, found in page.tags if tag == "script" and "src" not in found]
    assert len(inline) == 1
    assert HOSTILE[0] in page.words


def test_scripts_hold_every_unit_and_its_masks(report: Path) -> None:
    dissection = made_dissection()
    layer = dissection["_conv_head"]
    told = read_script(report / "data" / "layer-2.js")
    assert isinstance(told, dict)
    assert told["name"] == "_conv_head"
    assert told["concept"] == layer.labels.best.tolist()
    assert told["iou"] == pytest.approx(layer.labels.best_iou.tolist(), rel=1e-5)
    masks = read_script(report / "data" / "masks-2-0.js")
    assert isinstance(masks, list)
    assert masks[7][3] == layer.exemplars.mask_runs(7, 3).ravel().tolist()


def test_each_picture_is_saved_once_in_its_own_proportions(report: Path) -> None:
    saved = sorted((report / "pictures").iterdir())
    assert len(saved) == len(MadeSource())
    with Image.open(saved[0]) as picture:
        assert picture.size == (192, 128)


def test_tables_of_the_run_are_copied(report: Path) -> None:
    assert (report / "units.csv").read_text() == "layer,unit\n"
    assert (report / "run.json").read_text() == "{}"


def test_report_without_saved_run_offers_no_downloads(tmp_path: Path) -> None:
    page = write_report(made_dissection(8, ("a",)), MadeSource(), tmp_path / "alone").read_text(
        encoding="utf-8"
    )
    assert "units.csv" not in page


def test_same_dissection_gives_same_bytes(report: Path, tmp_path: Path) -> None:
    again = write_report(made_dissection(), MadeSource(), tmp_path / "again", run=report.parent).parent
    files = {path.relative_to(report): path.read_bytes() for path in report.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()
    }


def test_convention_is_spelled_out(report: Path) -> None:
    words = " ".join(Page((report / "index.html").read_text(encoding="utf-8")).words)
    for expected in ("netdissect", "raw cells of the activation map", "5f2c0d5a8c1b", "12.4 s", "0.1.0"):
        assert expected in words
    assert "5f2c0d5a8c1be3aa" not in words


def test_report_without_confidence_has_no_place_for_it(tmp_path: Path) -> None:
    made = made_dissection(8, ("a", "b"), confident=False)
    page = write_report(made, MadeSource(), tmp_path / "r").read_text(encoding="utf-8")
    assert "chance" not in page
    assert "q &lt; 0.05" not in page
    assert read_script(tmp_path / "r" / "data" / "layer-0.js")["confidence"] is None  # type: ignore[index]


def test_layer_without_detectors_says_so(tmp_path: Path) -> None:
    made = made_dissection(8, ("a",))
    strict = replace(made.convention, iou_cutoff=0.99)
    made = replace(made, convention=strict, layers={"a": replace(made["a"], convention=strict)})
    page = write_report(made, MadeSource(), tmp_path / "r").read_text(encoding="utf-8")
    assert "No unit of this layer has an IoU above 0.99" in page


def test_cropping_frame_crops_the_picture() -> None:
    image = MadeSource()[0].image
    assert shrink(image, Frame((96, 96), (48, 48), "crop")).size == (160, 160)
    assert shrink(image, FRAME).size == (192, 128)


def test_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write the report"):
        write_report(made_dissection(8, ("a",)), MadeSource(), tmp_path / "file" / "report")


def test_bars_stand_for_detectors_and_categories_keep_together() -> None:
    layer = made_dissection()["_conv_head"]
    chart = draw_concepts(layer)
    assert sum(bar.count for bar in chart.bars) == layer.detectors
    assert len(chart.bars) == len(count_concepts(layer))
    categories = [bar.category for bar in chart.bars]
    assert categories == sorted(categories, key=layer.vocabulary.categories.index)


def test_columns_stack_to_the_unique_concepts() -> None:
    dissection = made_dissection()
    counted = [count_layer(layer) for layer in dissection.layers.values()]
    chart = draw_layers(counted)
    for one in counted:
        stacked = [bar.count for bar in chart.bars if bar.label == one.layer]
        assert sum(stacked) == one.count() == sum(dissection[one.layer].unique["label"].values())


@pytest.mark.parametrize("largest", [0, 1, 3, 7, 40, 999, 2048])
def test_gridlines_are_few_and_round(largest: int) -> None:
    lines = gridlines(largest, 100.0, 100.0)
    assert 1 <= len(lines) <= 5
    assert all(value <= max(largest, 1) for _, value in lines)


def test_of_latents_chance_and_the_best_by_concept_come_first(tmp_path: Path) -> None:
    made = made_dissection(32, ("_blocks.10",))
    name = "_blocks.10+sae:kept/sae.pt"
    exemplars = made["_blocks.10"].exemplars
    layer = replace(made["_blocks.10"], layer=name, sparse=True)
    assert layer.never_fired == int((exemplars.images[:, 0] < 0).sum()) == 1
    page = Page(
        write_report(replace(made, layers={name: layer}), MadeSource(), tmp_path / "r").read_text("utf-8")
    )
    words = [word.strip() for word in page.words if word.strip()]
    told = [words.index(word) for word in ("by chance", "detectors", "unique concepts", "best by concept")]
    assert told == sorted(told)
    assert "1 dead" in " ".join(words)
    best = best_by_concept(layer)
    assert [iou for _, _, iou in best] == sorted((iou for _, _, iou in best), reverse=True)
    for concept, unit, iou in best:
        assert iou == layer.iou[:, concept.id].max() == layer.iou[unit, concept.id]
    addresses = [address for address in page.addresses() if address.startswith("#unit/")]
    assert addresses == [f"#unit/_blocks.10%2Bsae%3Akept%2Fsae.pt/{unit}" for _, unit, _ in best]
    chosen = [found["value"] for tag, found in page.tags if tag == "option" and "selected" in found]
    assert chosen == ["heldout"]


def test_of_units_nothing_is_chosen_and_no_best_is_listed(report: Path) -> None:
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    assert not [found for tag, found in page.tags if tag == "option" and "selected" in found]
    assert "best by concept" not in page.words
