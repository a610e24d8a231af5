"""A union holds what its sources said, in the format that older tools read."""

import csv
import errno
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from unitscope.concepts.derived import limit
from unitscope.concepts.formats.broden.published import open_broden
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.sources import open_concepts
from unitscope.concepts.union.union import Summary, unite_sources
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary, no_planes
from unitscope.errors import RunError, SourceError, UsageError


@dataclass(frozen=True, eq=False)
class Held:
    """A source in memory."""

    vocabulary: Vocabulary
    examples: tuple[Example, ...]
    name: str = "held"

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int, /) -> Example:
        return self.examples[index]


def hold(concepts: list[tuple[str, str]], *examples: Example, name: str = "held") -> Held:
    words = tuple(Concept(number, *concept) for number, concept in enumerate(concepts, start=1))
    return Held(Vocabulary(words), examples, name)


def picture(
    key: str = "a.jpg", *, planes: object = None, color: tuple[int, ...] = (0, 0, 255), **more
) -> Example:
    image = np.full((8, 8, 3), color, np.uint8)
    return Example(key, image, no_planes() if planes is None else np.array(planes, np.uint16), **more)


def half(left: int, right: int) -> list[list[int]]:
    return [[left] * 4 + [right] * 4] * 8


def unite(tmp_path: Path, *sources: Held, **options) -> Summary:
    options = {"min_images": 1, "min_coverage": 0.0, "size": 8} | options
    return unite_sources(sources, tmp_path / "union", **options)


class OlderTool:
    """Reads a set as the tools of the field do, by the rules that are known of their parsers.

    A cell of a table is a whole number if it has digits only, a decimal if it has digits, a point and
    digits, else a text. In index.csv a cell is split at `;`; digits are a label of the image.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.categories = [row["name"] for row in self.table("category.csv")]
        self.rows = self.table("index.csv")
        self.names = {row["number"]: row["name"] for row in self.table("label.csv")}

    def table(self, name: str) -> list[dict]:
        with (self.root / name).open(newline="", encoding="utf-8") as file:
            return [{key: self.cell(text) for key, text in row.items()} for row in csv.DictReader(file)]

    def cell(self, text: str) -> object:
        if re.match(r"^\d+$", text):
            return int(text)
        return float(text) if re.match(r"^\d+\.\d*$", text) else text

    def labels(self, row: dict, category: str) -> list[np.ndarray]:
        shape, found = (row["sh"], row["sw"]), []
        for item in filter(None, str(row[category]).split(";")):
            if re.match(r"^\d+$", item):
                found.append(np.full(shape, int(item)))
                continue
            with Image.open(self.root / "images" / item) as file:
                channels = np.asarray(file).astype(int)
            assert channels.shape == (*shape, 3)
            assert not channels[..., 2].any()
            found.append(channels[..., 0] + 256 * channels[..., 1])
        return found

    def named(self, place: int, category: str) -> list[list[set[str]]]:
        """The names of every pixel of an image."""
        row = self.rows[place]
        planes = self.labels(row, category)
        return [
            [{self.names[int(plane[y, x])] for plane in planes if plane[y, x]} for x in range(row["sw"])]
            for y in range(row["sh"])
        ]


def read(summary: Summary) -> OlderTool:
    return OlderTool(summary.folder)


def test_names_of_two_sources_meet_in_one_label(tmp_path: Path) -> None:
    first = hold([("aeroplane", "object")], picture(planes=[half(1, 0)]))
    second = hold([("Airplane", "object")], picture(planes=[half(0, 1)]))
    tool = read(unite(tmp_path, first, second))
    (row,) = tool.table("c_object.csv")
    assert (row["name"], row["frequency"], row["coverage"]) == ("airplane", 2, 1.0)
    (label,) = [row for row in tool.table("label.csv") if row["name"] == "airplane"]
    assert label["syns"] == "aeroplane"
    assert label["category"] == "object(2)"


def test_left_and_right_eyes_are_eyes_and_doubly_labelled_pixels_count_once(tmp_path: Path) -> None:
    eyes = hold([("left eye", "part"), ("right eye", "part")], picture(planes=[half(1, 2), half(2, 0)]))
    tool = read(unite(tmp_path, eyes))
    assert tool.named(0, "part") == [[{"eye"}] * 4] * 4
    assert tool.table("c_part.csv")[0]["coverage"] == 1.0
    assert str(tool.rows[0]["part"]).count(";") == 0


def test_several_planes_of_a_category_are_numbered_files_the_fullest_first(tmp_path: Path) -> None:
    source = hold([("leg", "part"), ("knee", "part")], picture(planes=[half(0, 2), half(1, 1)]))
    tool = read(unite(tmp_path, source))
    assert tool.rows[0]["part"] == "held/a_part_1.png;held/a_part_2.png"
    first, second = tool.labels(tool.rows[0], "part")
    assert np.count_nonzero(first) == 16
    assert np.count_nonzero(second) == 8
    assert tool.named(0, "part") == [[{"leg"}] * 2 + [{"leg", "knee"}] * 2] * 4


def test_a_scene_and_an_object_of_one_name_stay_apart(tmp_path: Path) -> None:
    source = hold([("sky", "object"), ("sky", "scene")], picture(planes=[half(1, 1)], ids=(2,)))
    tool = read(unite(tmp_path, source))
    assert tool.named(0, "object")[0][0] == {"sky"}
    assert tool.named(0, "scene")[0][0] == {"sky-s"}
    assert isinstance(tool.rows[0]["scene"], int)


def test_an_object_and_a_part_of_one_name_are_one_label_of_two_categories(tmp_path: Path) -> None:
    source = hold(
        [("door", "object"), ("door", "part")],
        picture(planes=[half(1, 2)]),
        picture("b", planes=[half(1, 0)]),
    )
    summary = unite(tmp_path, source)
    tool = read(summary)
    (label,) = [row for row in tool.table("label.csv") if row["name"] == "door"]
    assert label["category"] == "object(2);part(1)"
    assert (label["frequency"], label["coverage"]) == (2, 1.5)
    assert summary.concepts == {"color": 1, "object": 1}
    assert summary.tables()["concepts.csv"].rows == (("color", 1), ("object", 1))
    assert summary.rows() == [{"source": "held", "images": len(source)}]


def test_a_label_of_the_image_is_not_repeated_in_its_pixels(tmp_path: Path) -> None:
    source = hold([("knit", "texture"), ("mesh", "texture")], picture(planes=[half(1, 2)], ids=(1,)))
    tool = read(unite(tmp_path, source))
    assert len(tool.labels(tool.rows[0], "texture")) == 2
    assert tool.named(0, "texture")[0] == [{"knit"}] * 2 + [{"knit", "mesh"}] * 2
    assert [row["coverage"] for row in tool.table("c_texture.csv")] == [1.0, 0.5]


def test_every_pixel_has_its_color(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = (255, 0, 0)
    source = hold([("x", "object")], replace(picture(planes=[half(1, 1)]), image=image))
    tool = read(unite(tmp_path, source))
    assert tool.named(0, "color") == [[{"black-c"}] * 2 + [{"red-c"}] * 2] * 4


def test_color_labels_of_a_source_give_way_to_the_named_pixels(tmp_path: Path) -> None:
    source = hold([("red", "color"), ("x", "object")], picture(planes=[half(1, 1), half(2, 2)]))
    tool = read(unite(tmp_path, source))
    assert tool.named(0, "color")[0][0] == {"blue-c"}
    assert "red-c" not in tool.names.values()


def test_void_pixels_are_unlabelled(tmp_path: Path) -> None:
    void = np.zeros((8, 8), bool)
    void[:4] = True
    summary = unite(tmp_path, hold([("x", "object")], picture(planes=[half(1, 1)], void=void)))
    assert read(summary).named(0, "object") == [[set()] * 4] * 2 + [[{"x"}] * 4] * 2
    assert "no void" in (summary.folder / "README.txt").read_text()


def test_rare_and_small_labels_are_dropped(tmp_path: Path) -> None:
    thin = np.zeros((8, 8), int)
    thin[:2, :2] = 3
    source = hold(
        [("often", "object"), ("once", "object"), ("thin", "object")],
        *(picture(f"{n}.jpg", planes=[half(1, 2 if n == 0 else 0), thin]) for n in range(4)),
    )
    summary = unite(tmp_path, source, min_images=2, min_coverage=0.5)
    assert [row["name"] for row in read(summary).table("c_object.csv")] == ["often"]
    assert summary.dropped["once"] == 1
    assert summary.dropped["thin"] == 4
    assert read(summary).named(0, "object")[3][3] == set()


def test_tables_are_plain_and_dense(tmp_path: Path) -> None:
    tiny = np.zeros((64, 64), int)
    tiny[0, 0] = 1
    image = np.zeros((256, 256, 3), np.uint8)
    source = hold(
        [("tiny", "object"), ("x", "part")],
        Example("a", image, np.array([tiny * 1, tiny * 0 + 2], np.uint16)),
    )
    summary = unite(tmp_path, source, size=256)
    tool = read(summary)
    for name in tool.categories:
        rows = tool.table(f"c_{name}.csv")
        assert [row["code"] for row in rows] == list(range(1, len(rows) + 1))
        assert all(isinstance(row["coverage"], float) and isinstance(row["frequency"], int) for row in rows)
    assert tool.table("c_object.csv")[0]["coverage"] == pytest.approx(4 / 128**2, abs=1e-6)
    assert [row["number"] for row in tool.table("label.csv")] == [1, 2, 3]
    firsts = [row["first"] for row in tool.table("category.csv")]
    assert firsts == sorted(firsts)
    assert list(tool.rows[0])[6:] == tool.categories


def test_masks_have_half_the_size(tmp_path: Path) -> None:
    tool = read(unite(tmp_path, hold([("x", "object")], picture(planes=[half(1, 1)])), size=227))
    row = tool.rows[0]
    assert (row["ih"], row["iw"], row["sh"], row["sw"]) == (227, 227, 113, 113)
    with Image.open(tool.root / "images" / row["image"]) as image:
        assert (image.size, image.format) == ((227, 227), "JPEG")
    assert tool.labels(row, "object")[0].all()


def test_rows_and_split_follow_from_the_hash_of_the_path(tmp_path: Path) -> None:
    examples = [picture(f"{n}.jpg", planes=[half(1, 1)]) for n in range(60)]
    summary = unite(tmp_path, hold([("x", "object")], *examples))
    rows = read(summary).rows
    hashes = [hashlib.md5(row["image"].encode()).hexdigest() for row in rows]
    assert hashes == sorted(hashes)
    assert [row["split"] == "train" for row in rows] == [int(text, 16) / 2**128 < 0.7 for text in hashes]
    assert summary.train == sum(row["split"] == "train" for row in rows)
    other = unite_sources(
        [hold([("x", "object")], *examples)], tmp_path / "b", min_images=1, size=8, split_seed=1
    )
    assert [row["image"] for row in read(other).rows] != [row["image"] for row in rows]


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    source = hold(
        [("x", "object"), ("y", "scene")], picture(planes=[half(1, 0)], ids=(2,)), picture("b", ids=(2,))
    )
    folders = [
        unite_sources([source], tmp_path / name, min_images=1, min_coverage=0.0, size=8).folder
        for name in ("first", "second")
    ]
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in folders
    )
    assert first == second


def test_sources_and_images_of_one_name_do_not_meet(tmp_path: Path) -> None:
    first = hold(
        [("x", "object")], picture("a.jpg", planes=[half(1, 1)]), picture("a.png", planes=[half(1, 0)])
    )
    summary = unite(tmp_path, first, first)
    images = {row["image"] for row in read(summary).rows}
    assert images == {"held/a.jpg", "held/a-2.jpg", "held-2/a.jpg", "held-2/a-2.jpg"}
    assert summary.sources == {"held": 2, "held-2": 2}


def test_sources_take_the_names_that_are_given(tmp_path: Path) -> None:
    source = hold([("x", "object")], picture(planes=[half(1, 1)]))
    assert unite(tmp_path, source, names=["../my set"]).sources == {"_my_set": 1}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(np.uint16, hnp.array_shapes(min_dims=4, max_dims=4, max_side=5), elements=st.integers(0, 4)),
    st.lists(st.integers(1, 4), max_size=3),
)
def test_every_pixel_keeps_its_names(tmp_path_factory, stacks: np.ndarray, ids: list[int]) -> None:
    concepts = [("left leg", "part"), ("leg", "part"), ("plane", "object"), ("bubbly", "texture")]
    merged = {1: ("part", "leg"), 2: ("part", "leg"), 3: ("object", "airplane"), 4: ("texture", "bubbly")}
    height, width = stacks.shape[2:]
    image = np.zeros((2 * height, 2 * width, 3), np.uint8)
    examples = [Example(f"{n}.jpg", image, planes, tuple(ids)) for n, planes in enumerate(stacks)]
    if not ids and not stacks.any():
        return
    folder = tmp_path_factory.mktemp("union") / "out"
    tool = read(unite_sources([hold(concepts, *examples)], folder, min_images=1, min_coverage=0.0, size=None))
    for place, row in enumerate(tool.rows):
        planes = stacks[int(Path(row["image"]).stem)]
        for category in ("object", "part", "texture"):
            found = tool.named(place, category) if category in tool.categories else None
            for y in range(height):
                for x in range(width):
                    there = {*planes[:, y, x].tolist(), *ids} - {0}
                    wanted = {merged[number][1] for number in there if merged[number][0] == category}
                    assert (found[y][x] if found else set()) == wanted


def test_brodens_reader_agrees_with_the_sources(tmp_path: Path) -> None:
    source = hold([("cat", "object"), ("street", "scene")], picture(planes=[half(1, 0)], ids=(2,)))
    broden = open_broden(unite(tmp_path, source).folder)
    example = broden[0]
    names = {concept.name: concept for concept in broden.vocabulary}
    assert names["cat"].category == "object"
    assert names["street-s"].category == "scene"
    assert example.ids == (names["street-s"].id,)
    assert (example.planes == names["cat"].id).sum() == 8
    assert (example.planes == names["blue-c"].id).all(axis=(1, 2)).sum() == 1


def test_a_union_of_a_union_is_the_same_set(tmp_path: Path) -> None:
    source = hold([("cat", "object"), ("street", "scene")], picture(planes=[half(1, 0)], ids=(2,)))
    first = unite(tmp_path, source)
    second = unite_sources(
        [open_broden(first.folder)], tmp_path / "again", min_images=1, min_coverage=0.0, size=None
    )
    for name in ("label.csv", "category.csv", "c_object.csv", "c_scene.csv", "c_color.csv"):
        assert (second.folder / name).read_bytes() == (first.folder / name).read_bytes()


def test_stored_files_are_copied_when_no_size_is_asked_for(tmp_path: Path) -> None:
    for name, suffix in (("street", "jpg"), ("kitchen", "bmp")):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (10, 7), "green").save(tmp_path / "set" / name / f"1.{suffix}")
    tool = read(unite(tmp_path, limit(open_folder(tmp_path / "set"), 2), size=None))
    by_name = {row["image"]: row for row in tool.rows}
    stored = tmp_path / "union" / "images" / "set" / "street" / "1.jpg"
    assert set(by_name) == {"set/street/1.jpg", "set/kitchen/1.png"}
    assert stored.read_bytes() == (tmp_path / "set" / "street" / "1.jpg").read_bytes()
    assert [by_name["set/street/1.jpg"][key] for key in ("ih", "iw", "sh", "sw")] == [7, 10, 3, 5]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Twelve noisy photographs as JPEG, with masks."""
    rng, folder = np.random.default_rng(0), tmp_path / "photographs"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (10, 12, 3), np.uint8)).save(folder / "images" / f"{number}.jpg")
        Image.fromarray(rng.integers(0, 3, (10, 12), np.uint8)).save(folder / "masks" / f"{number}.png")
    (folder / "classes.json").write_text('["unlabelled", "sky", "tree"]')
    return folder


@pytest.mark.parametrize(
    ("options", "images"),
    [
        ("", 12),
        (",half=train", 6),
        (",half=test:0.75:3", 3),
        (",limit=5", 5),
        (",shuffle=2", 12),
        (",quadrants=object", 12),
        (",limit=8,half=train,shuffle=1,quadrants=object", 4),
    ],
)
def test_files_are_copied_whatever_is_made_of_the_source(
    photographs: Path, tmp_path: Path, options: str, images: int
) -> None:
    summary = unite(tmp_path, open_concepts(f"folder:{photographs}{options}"), size=None)
    assert summary.sources == {"photographs": images}
    stored = list((tmp_path / "union" / "images" / "photographs").glob("*.jpg"))
    assert len(stored) == images
    for path in stored:
        assert path.read_bytes() == (photographs / "images" / path.name).read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "union").mkdir()
    (tmp_path / "union" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        unite(tmp_path, hold([("x", "object")], picture(planes=[half(1, 1)])))
    assert [path.name for path in (tmp_path / "union").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "union").mkdir()
    unite(tmp_path, hold([("x", "object")], picture(planes=[half(1, 1)])))
    assert (tmp_path / "union" / "index.csv").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["union"]


def test_an_image_that_cannot_be_read_is_named_and_nothing_stays(tmp_path: Path) -> None:
    class Broken(Held):
        def __getitem__(self, index: int, /) -> Example:
            if index == 1:
                raise SourceError("b.jpg: truncated")
            return self.examples[index]

    source = Broken(Vocabulary((Concept(1, "x", "object"),)), (picture(planes=[half(1, 1)]),) * 2, "photos")
    with pytest.raises(SourceError, match=r"photos, image 1: b.jpg: truncated; nothing was written"):
        unite(tmp_path, source)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(RunError, match="No space left on device"):
        unite(tmp_path, hold([("x", "object")], picture(planes=[half(1, 1)])))
    assert not list(tmp_path.iterdir())


def test_no_label_left_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no concept of the sources is in at least 10 images"):
        unite(tmp_path, hold([("x", "object")], picture(planes=[half(1, 1)])), min_images=10)


def test_images_without_any_concept_still_have_colors(tmp_path: Path) -> None:
    assert unite(tmp_path, hold([], picture())).concepts == {"color": 1}


def test_labels_outside_the_vocabulary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"held: a.jpg has the label 7"):
        unite(tmp_path, hold([("x", "object")], picture(planes=[half(1, 7)])))
    with pytest.raises(SourceError, match=r"held: a.jpg has the label 9"):
        unite(tmp_path, hold([("x", "object")], picture(ids=(9,))))


def test_a_gap_in_the_vocabulary_is_no_label(tmp_path: Path) -> None:
    words = Vocabulary((Concept(3, "x", "object"),))
    with pytest.raises(SourceError, match="the label 2"):
        unite(tmp_path, Held(words, (picture(planes=[half(3, 2)]),)))


@pytest.mark.parametrize("category", ["image", "a/b", "", "-x"])
def test_a_category_that_is_no_column_is_refused(tmp_path: Path, category: str) -> None:
    with pytest.raises(SourceError, match="cannot be a column"):
        unite(tmp_path, hold([("x", category)], picture(planes=[half(1, 1)])))


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    source = hold([("x", "object")], picture(planes=[half(1, 1)]))
    with pytest.raises(UsageError, match="nothing to unite"):
        unite(tmp_path)
    with pytest.raises(SourceError, match="hold no images"):
        unite(tmp_path, hold([("x", "object")]))
    with pytest.raises(UsageError, match="2 names for 1 sources"):
        unite(tmp_path, source, names=["a", "b"])
    with pytest.raises(UsageError, match="images of 1 pixels"):
        unite(tmp_path, source, size=1)
    with pytest.raises(UsageError, match="the minimum is"):
        unite(tmp_path, source, min_coverage=float("nan"))


def test_names_that_would_be_misread_are_mended(tmp_path: Path) -> None:
    source = hold([("=1+1;2", "object"), ("12", "object")], picture(planes=[half(1, 2)]))
    assert {row["name"] for row in read(unite(tmp_path, source)).table("c_object.csv")} == {
        "1+1 2",
        "class 12",
    }
