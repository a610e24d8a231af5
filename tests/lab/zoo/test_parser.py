"""A segmenter of one's own: learned from drawn masks, the same again, refused where it cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from unitscope.concepts.formats.annotated import keep_pictures
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.sources import open_concepts
from unitscope.errors import NetworkError, RunError, SourceError, UsageError
from unitscope.lab.zoo import augmentation, parser
from unitscope.lab.zoo.augmentation import draw_views
from unitscope.lab.zoo.masked import VOID, MaskedPictures, halve_masked, read_masked
from unitscope.lab.zoo.parser import (
    ParserTrainer,
    grade_parser,
    load_parser,
    record_scores,
    save_parser,
    spell_scores,
    train_parser,
)
from unitscope.networks.network_sources import load_segmenter

CLASSES = ["background", "disk", "square"]


def write_shapes(root: Path, count: int = 12, classes=CLASSES, void: bool = False) -> Path:
    """Disks and squares of any color on gray ground, pictures of several sizes."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        width, height = (80, 60) if number % 2 else (60, 72)
        image, mask = Image.new("RGB", (width, height), (110,) * 3), Image.new("L", (width, height))
        for kind, draw_shape in ((1, "ellipse"), (2, "rectangle")):
            x, y = random.integers(4, 34, 2).tolist()
            color = tuple(random.integers(0, 256, 3).tolist())
            for canvas, ink in ((image, color), (mask, kind)):
                getattr(ImageDraw.Draw(canvas), draw_shape)((x, y, x + 22, y + 22), fill=ink)
        if void:
            ImageDraw.Draw(mask).rectangle((0, 0, width, 8), fill=9)
        image.save(root / "images" / f"{number}.png")
        mask.save(root / "masks" / f"{number}.png")
    names = {str(i): name for i, name in enumerate(classes)}
    (root / "classes.json").write_text(json.dumps({"classes": names, "void": [9]}))
    return root


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return write_shapes(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(parser, "CHANNELS", (4, 4, 8, 8, 8))
    monkeypatch.setattr(augmentation, "_GROUNDS", 8)


@pytest.fixture(scope="module")
def grounds():
    return np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)


def test_pictures_are_read_with_their_classes_and_void(tmp_path):
    (write_shapes(tmp_path, void=True) / "masks" / "3.png").unlink()
    source = open_folder(tmp_path)
    read = read_masked(source)
    assert len(read) == 11
    assert [read.vocabulary[one].name for one in read.classes[0]] == CLASSES
    assert read.grounds == (0,)
    assert set(read.aspects) == {60 / 72, 80 / 60}
    assert (read.labels[:, 0, :10] == VOID).all()
    assert set(np.unique(read.labels[:, 0, 40:])) <= {0, 1, 2}
    example = source[0]
    rows = ((np.arange(128) + 0.5) * example.planes.shape[1] / 128).astype(int)
    columns = ((np.arange(128) + 0.5) * example.planes.shape[2] / 128).astype(int)
    wanted = np.searchsorted(read.classes[0], example.planes[0][rows][:, columns])
    known = read.labels[0, 0] != VOID
    assert (read.labels[0, 0] == wanted)[known].all()


def test_views_depend_on_seed_and_step_alone(shapes, grounds):
    pictures = read_masked(open_folder(shapes))
    one, same = (draw_views(pictures, grounds, 16, 64, 1, 4) for _ in range(2))
    other = draw_views(pictures, grounds, 16, 64, 1, 5)
    assert torch.equal(one.images, same.images)
    assert torch.equal(one.labels, same.labels)
    assert not torch.equal(one.images, other.images)
    assert one.images.shape == (16, 3, 64, 64)
    assert -1 <= float(one.images.min()) < float(one.images.max()) <= 1
    assert set(one.labels.unique().tolist()) == {0, 1, 2, VOID}
    assert (one.labels == VOID).float().mean() < 0.1


def test_without_a_ground_what_is_not_known_is_void(tmp_path, grounds):
    pictures = read_masked(open_folder(write_shapes(tmp_path, classes=["wall", "disk", "square"])))
    assert pictures.grounds == ()
    views = draw_views(pictures, grounds, 16, 64, 1, 4)
    assert (views.labels == VOID).float().mean() > 0.1


def test_a_view_takes_every_pixel_from_where_its_grid_points():
    rng = np.random.default_rng(3)
    grid = augmentation._draw_grid(rng, np.array([0.7, 1.0, 1.4]), 12)
    stored = torch.arange(3 * 20 * 20).reshape(3, 1, 20, 20).float()
    seen = augmentation._look(stored, grid, "nearest")
    for n, y, x in np.ndindex(3, 12, 12):
        column, row = (((grid[n, y, x] + 1) * 20 - 1) / 2).clamp(0, 19).tolist()
        if min(abs(column % 1 - 0.5), abs(row % 1 - 0.5)) > 1e-3:
            assert seen[n, 0, y, x] == stored[n, 0, round(row), round(column)]


def test_a_class_changes_color_as_a_whole():
    rng = np.random.default_rng(0)
    images = 0.45 + 0.1 * torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = (torch.arange(16) // 6).byte().expand(8, 16, 16).clone()
    labels[:, :2] = VOID
    painted = augmentation._recolor(rng, images, labels, 3)
    changed = 0
    for n in range(8):
        for kind in (0, 1, 2, VOID):
            mine = labels[n] == kind
            for before, after in zip(images[n][:, mine], painted[n][:, mine], strict=True):
                inside = (after > 0) & (after < 1)
                if inside.sum() < 3:
                    continue
                gain, shift = np.polyfit(before[inside].numpy(), after[inside].numpy(), 1)
                assert torch.allclose(after[inside], before[inside] * gain + shift, atol=1e-4)
                changed += abs(gain - 1) + abs(shift) > 1e-3
    assert 0 < changed < 8 * 4 * 3


def test_nothing_is_learned_from_unknown_pixels(tmp_path):
    pictures = read_masked(open_folder(write_shapes(tmp_path, void=True)))
    trainer = ParserTrainer(parser.Recipe("segmenter", "parser", (), 12, 1, 16, 1e-3), pictures, 0)
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    labels[:, :, :4] = VOID
    other = logits.clone()
    other[:, :, :4] += 5
    assert trainer._miss(logits, labels) == trainer._miss(other, labels)
    assert trainer._miss(logits, torch.full_like(labels, VOID)) == 0


def test_the_same_seed_gives_the_same_file_also_after_a_stop(shapes, tmp_path, monkeypatch):
    source = open_folder(shapes)
    whole, _ = train_parser(source, tmp_path / "whole", seed=3, steps=4, every=2)
    digest = save_parser(whole, tmp_path / "whole.safetensors")

    class StoppedError(Exception):
        pass

    learn = ParserTrainer.learn

    def stop(trainer, step, rate):
        if step == 3:
            raise StoppedError
        return learn(trainer, step, rate)

    monkeypatch.setattr(ParserTrainer, "learn", stop)
    with pytest.raises(StoppedError):
        train_parser(source, tmp_path / "parts", seed=3, steps=4, every=2)
    monkeypatch.setattr(ParserTrainer, "learn", learn)
    parts, _ = train_parser(source, tmp_path / "parts", seed=3, steps=4, every=2)
    assert save_parser(parts, tmp_path / "parts.safetensors") == digest
    with pytest.raises(RunError, match="holds another training"):
        train_parser(open_concepts(f"folder:{shapes},limit=8"), tmp_path / "parts", seed=3, steps=4)


def test_shapes_are_learned_saved_and_named_again(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(parser, "CHANNELS", (8, 16, 16, 16, 16))
    learned, held_out = halve_masked(open_folder(shapes), 0.75)
    made, _ = train_parser(learned, tmp_path / "run", steps=60)
    scores = grade_parser(made, held_out)
    assert [score.concept.name for score in scores] == CLASSES
    assert scores[0].iou > 0.8
    assert scores[1].iou > 0.3
    assert "9 pictures, measured on 3 others" in spell_scores(made, scores, 3)
    file = tmp_path / "own.safetensors"
    save_parser(record_scores(made, scores, held_out), file)
    back = load_parser(file)
    assert back.record["test"]["iou"][1] == [2, scores[1].iou]
    segmenter = load_segmenter(str(file))
    image = held_out[0].image
    assert np.array_equal(segmenter(image[None]), made.segmenter()(image[None]))
    assert (segmenter.name, segmenter.digest) == (str(file), made.segmenter().digest)
    seen = open_concepts(f"folder:{shapes}")
    assert [c.name for c in segmenter.vocabulary] == [c.name for c in seen.vocabulary]


def test_scores_count_all_known_pixels(shapes, tmp_path):
    source = open_folder(shapes)
    made, _ = train_parser(source, tmp_path / "run", steps=1)
    scores = grade_parser(made, source)
    both = [(e.planes[0], made.segmenter()(e.image[None])[0, 0]) for e in map(source.__getitem__, range(12))]
    for score in scores:
        one = score.concept.id
        right = sum(((truth == one) & (named == one)).sum() for truth, named in both)
        union = sum(((truth == one) | (named == one)).sum() for truth, named in both)
        assert score.iou == (right / union if union else None)


def test_splits_of_a_folder_are_kept_to(tmp_path):
    root = write_shapes(tmp_path)
    lots = halve_masked(open_folder(root), seed=2)
    assert [len(half) for half in lots] == [9, 3]
    assert {lots[0][i].key for i in range(9)}.isdisjoint({lots[1][i].key for i in range(3)})
    (root / "splits.json").write_text(json.dumps({"train": ["0", "1", "2", "3.png"], "test": ["7"]}))
    learned, held_out = halve_masked(open_folder(root))
    assert (len(learned), [held_out[0].key]) == (4, ["7.png"])
    assert learned.spec.endswith("split=train")
    assert [len(half) for half in halve_masked(open_folder(root), 0.5)] == [6, 6]


def test_what_cannot_be_learned_is_told(tmp_path):
    root = write_shapes(tmp_path / "few", count=3)
    with pytest.raises(SourceError, match="3 of the 3 pictures to train on have masks; wanted 4"):
        read_masked(open_folder(root))
    root = write_shapes(tmp_path / "bare")
    for number in range(1, 12):
        (root / "masks" / f"{number}.png").unlink()
    bare = open_folder(root, bare="in")
    bare = keep_pictures(bare, [place for place, key in enumerate(bare.keys) if key != "0.png"])
    with pytest.raises(SourceError, match="0 of the 11 pictures"):
        read_masked(bare)
    root = write_shapes(tmp_path / "one")
    for mask in (root / "masks").iterdir():
        Image.fromarray(np.ones_like(np.asarray(Image.open(mask)))).save(mask)
    with pytest.raises(SourceError, match="all pixels of a kind of masks are disk"):
        read_masked(open_folder(root))
    root = write_shapes(tmp_path / "sizes")
    Image.new("L", (9, 9)).save(root / "masks" / "5.png")
    with pytest.raises(
        SourceError, match=r"5\.png: the picture is 80x60 pixels, its labels 9x9 in .*masks/5"
    ):
        read_masked(open_folder(root))
    with pytest.raises(UsageError, match="0 steps"):
        train_parser(open_folder(root), tmp_path / "run", steps=0)
    with pytest.raises(SourceError, match="none of the 11 pictures to measure on"):
        grade_parser(_untrained(), bare)


def _untrained():
    words = open_concepts("drawn:count=1,size=64").vocabulary
    ids = (words.concepts[0].id, words.concepts[1].id)
    module = parser.SceneSegmenter((2,), (4, 4, 4, 4, 4)).eval()
    return parser.Parser(module, parser.Vocabulary(words.concepts[:2]), (ids,), {})


def test_files_that_are_no_parser_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"there is no segmenter none\.safetensors"):
        load_segmenter("none.safetensors")
    file = tmp_path / "own.safetensors"
    file.write_bytes(b"nothing")
    with pytest.raises(NetworkError, match="is no segmenter"):
        load_parser(file)
    parser.save_weights(_untrained().module, file)
    with pytest.raises(NetworkError, match="is no segmenter"):
        load_parser(file)
    save_parser(_untrained(), file)
    assert load_parser(file).classes == _untrained().classes


def test_pictures_and_masks_may_lie_in_two_folders(tmp_path):
    root = write_shapes(tmp_path / "all")
    (root / "images").rename(root / "photos")
    (root / "masks").rename(root / "truth")
    source = open_concepts(f"folder:{root}/photos,masks={root}/truth")
    assert source.name == "all"
    assert source[0].planes.shape == (1, 72, 60)
    assert open_concepts(source.spec).digest == source.digest
    with pytest.raises(UsageError, match="nowhere is not a folder"):
        open_folder(root / "photos", masks=root / "nowhere")
    with pytest.raises(UsageError, match="lie in each other"):
        open_folder(root, masks=root / "truth")
    (root / "classes.json").unlink()
    with pytest.raises(SourceError, match=r"the masks need a classes\.json"):
        open_folder(root / "photos", masks=root / "truth")


def test_masked_pictures_know_their_grounds():
    words = parser.Vocabulary((parser.Concept(1, "Background", "object"), parser.Concept(2, "cat", "object")))
    empty = np.zeros((0, 1, 1), np.uint8)
    both = MaskedPictures(
        np.zeros((0, 1, 1, 3), np.uint8), empty[:, None], np.zeros(0), ((1, 2), (0, 2)), words
    )
    assert both.grounds == (0, 0)
