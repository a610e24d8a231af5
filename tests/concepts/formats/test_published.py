"""Which folders are published sets: none by a stray name alone, all by their roots, parents and pieces."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sets import coco, imagenet, places365, sun397, voc
from sets.files import write_files
from sets.published_words import WORDS, write_tree
from unitscope.concepts.formats.published import recognize
from unitscope.concepts.formats.published_signs import STRAY as SIGNS
from unitscope.concepts.sources import open_concepts
from unitscope.errors import UsageError

STRAY = (
    "backup.tar",
    "features.parquet",
    "stats/x.parquet",
    "data/x.parquet",
    "rows.arrow",
    "state.json",
    "dataset_info.json",
    "dataset_dict.json",
    "codes.txt",
    "label_colors.txt",
    "trainannot/x.txt",
    "ClassName.txt",
    "Partitions/x.txt",
    "data_large/1.jpg",
    "data_256/1.jpg",
    "val_256/x.txt",
    "categories_places365.txt",
    "places365_notes.txt",
    "ILSVRC2012_val_notes.txt",
    "ILSVRC2012_devkit.txt",
    "ILSVRC/x.txt",
    "LOC_synset_mapping.txt",
    "LOC_val_solution.csv",
    "objectInfo150.txt",
    "sceneCategories.txt",
    "index_ade20k.pkl",
    "ADE_train_00000001.jpg",
    "leftImg8bit/x.txt",
    "gtFine/x.txt",
    "labels/train1.txt",
    "labels/labels_joint_anno.txt",
    "stuffthingmaps/x.txt",
    "annotations.json",
    "instances_all.json",
    "annotations/instances_all.json",
    "panoptic_all.json",
    "config_v2.json",
    "n01440764/1.jpg",
    "JPEGImages/1.jpg",
)
"""Names of published sets as they may stray among a user's own folders."""

PLACES = ("", "train/", "images/train/")


def write_own(root: Path, above: str = "") -> Path:
    return write_files(
        root, {}, tuple(f"{above}{name}/{n}.jpg" for name in ("dotted", "striped") for n in (0, 1))
    )


def write_stray(root: Path, name: str) -> None:
    if name.endswith(".jpg"):
        write_files(root, {}, (name,))
    else:
        write_files(root, {name: '{"info": {}}' if name.endswith(".json") else "x"})


@pytest.mark.parametrize("name", STRAY)
def test_folders_of_classes_open_beside_a_stray_name(name: str, tmp_path: Path) -> None:
    for number, above in enumerate(PLACES):
        root = write_own(tmp_path / str(number), above)
        write_stray(root, name)
        assert recognize(root) is None
    found = {concept.name for concept in open_concepts(f"folder:{tmp_path / '0'}").vocabulary}
    assert {"dotted", "striped"} <= found


@settings(max_examples=40)
@given(
    name=st.sampled_from(STRAY),
    own=st.sampled_from(["kitchen", "a cat", "b/bathroom", "2"]),
    above=st.sampled_from(PLACES),
)
def test_no_stray_name_tells_beside_any_class(
    tmp_path_factory: pytest.TempPathFactory, name: str, own: str, above: str
) -> None:
    root = write_files(tmp_path_factory.mktemp("own"), {}, (f"{above}{own}/1.jpg",))
    write_stray(root, name)
    assert recognize(root) is None


def test_the_strays_are_all_that_tell_by_themselves(tmp_path: Path) -> None:
    told = set()
    for number, name in enumerate(STRAY):
        write_stray(tmp_path / str(number), name)
        told |= {place for place, (_, tells) in enumerate(SIGNS) if tells(tmp_path / str(number))}
    assert {word for word, _ in SIGNS} - {SIGNS[place][0] for place in told} == {"mapillary"}  # takes two


@pytest.mark.parametrize(
    "name", ["backup.tar", "features.parquet", "state.json", "codes.txt", "data_large/1.jpg"]
)
def test_pictures_open_beside_a_stray_name(name: str, tmp_path: Path) -> None:
    root = write_files(tmp_path, {}, tuple(f"{n}.jpg" for n in range(3)))
    write_stray(root, name)
    assert recognize(root) is None


PUBLISHED = [word for word in WORDS if not word.startswith("folder:")]


def find_place(word: str) -> tuple[str, Path]:
    kind, _, place = word.partition(":")
    root = Path(re.split(r",|/train-", place)[0])
    return kind, root.parent if kind == "coco-panoptic" else root


@pytest.mark.parametrize("word", PUBLISHED)
@pytest.mark.parametrize("extra", ["notes/1.jpg", "backup.tar", "README.md", ".DS_Store"])
def test_published_roots_are_told_with_what_people_add(
    word: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(word, tmp_path)
    monkeypatch.chdir(tmp_path)
    kind, root = find_place(word)
    before = recognize(root)
    assert before is not None
    assert before.startswith(f"{kind}:")
    write_stray(root, extra)
    if not (extra == "notes/1.jpg" and word.startswith("hf:sidewalk")):
        assert recognize(root) == before


@pytest.mark.parametrize("word", PUBLISHED)
def test_folders_in_a_published_tree_name_its_own_word(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(word, tmp_path)
    monkeypatch.chdir(tmp_path)
    kind, root = find_place(word)
    for place in [path for path in root.rglob("*") if path.is_dir()]:
        told = recognize(place)
        if told is not None:
            assert told.startswith(f"{kind}:")
            assert kind in ("hf", "wds") or len(open_concepts(told)) > 0


INSIDE = {
    "VOC2012": "SegmentationClass ImageSets",
    "coco:coco,": "annotations",
    "cocostuff": "images annotations annotations/val2017",
    "ADEChallengeData2016": "images images/training annotations annotations/training",
    "ADE20K_2021_17_01": "images images/ADE images/ADE/training",
    "ADE20K_2016_07_26": "images images/training",
    "cityscapes": "leftImg8bit leftImg8bit/train gtFine gtFine/train",
    "camvid:CamVid": "trainannot",
    "camvid:camvid": "LabeledApproved_full",
    "mapillary": "training training/v2.0",
    "imagenet": "ILSVRC ILSVRC/Data ILSVRC/Data/CLS-LOC/train",
    "places365": "data_256",
}


@pytest.mark.parametrize("start", INSIDE)
def test_parts_of_a_published_tree_are_refused_with_its_word(
    start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = next(word for word in PUBLISHED if start in word)
    write_tree(word, tmp_path)
    kind, root = find_place(word)
    for name in INSIDE[start].split():
        with pytest.raises(UsageError, match=f"open it as {kind}:") as caught:
            open_concepts(f"folder:{tmp_path / root / name}")
        assert len(open_concepts(str(caught.value).rpartition("open it as ")[2])) > 0
        monkeypatch.chdir(tmp_path / root / name)
        assert len(open_concepts(str(recognize(Path())))) > 0
        monkeypatch.undo()


def test_a_set_in_a_folder_of_any_name_is_told_from_above(tmp_path: Path) -> None:
    coco.write_coco(tmp_path / "downloads" / "mine")
    (tmp_path / "downloads" / "__MACOSX").mkdir()
    assert refuse(tmp_path / "downloads").startswith(f"coco:{tmp_path}/downloads/mine,")
    write_own(tmp_path / "other" / "mine")
    write_stray(tmp_path / "other" / "mine", "backup.tar")
    assert recognize(tmp_path / "other") is None


@pytest.mark.parametrize(
    ("start", "inside"),
    [
        ("VOC2012", "JPEGImages"),
        ("coco:coco,", "val2017"),
        ("cocostuff", "images/val2017"),
        ("cityscapes", "leftImg8bit/train/aachen"),
        ("camvid:CamVid", "train"),
        ("mapillary", "training/images"),
        ("places365", "val_256"),
    ],
)
def test_plain_pictures_in_a_published_tree_may_be_opened(start: str, inside: str, tmp_path: Path) -> None:
    word = next(word for word in PUBLISHED if start in word)
    write_tree(word, tmp_path)
    source = open_concepts(f"folder:{tmp_path / find_place(word)[1] / inside}")
    assert len(source) > 0
    assert len(source.vocabulary) == 0


def test_a_folder_of_ones_own_in_a_published_tree_is_left_alone(tmp_path: Path) -> None:
    voc.write_voc(tmp_path)
    root = write_own(tmp_path / "VOCdevkit" / "VOC2012" / "crops")
    assert recognize(root) is None


def keep(*names: str) -> Callable[[Path], None]:
    """Takes away all in a folder but what is called so."""

    def take_away(root: Path) -> None:
        for path in [*root.iterdir()]:
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return take_away


@pytest.mark.parametrize(
    ("word", "write", "take_away"),
    [
        ("places365", places365.write_places365, keep("data_256")),
        ("places365", places365.write_places365, keep("val_256", "places365_val.txt")),
        ("sun397", sun397.write_sun397, keep("a", "b", "z")),
        ("sun397", sun397.write_sun397, keep("a", "b", "z", "ClassName.txt")),
        ("imagenet", imagenet.write_imagenet, keep("ILSVRC")),
        ("imagenet", imagenet.write_imagenet_folders, keep("train")),
        ("imagenet", imagenet.write_imagenet_folders, keep("val")),
        (
            "cocostuff",
            lambda root: write_files(root, {}, ("stuffthingmaps_trainval2017/val2017/1.png",)),
            keep,
        ),
        ("hf", lambda root: write_files(root, {"data/x.parquet": ""}), keep),
        ("hf", lambda root: write_files(root, {"plain/x-00000-of-00001.parquet": ""}, ("art/1.jpg",)), keep),
        ("hf", lambda root: write_files(root, {".gitattributes": "", "x.parquet": ""}, ("art/1.jpg",)), keep),
        (
            "wds",
            lambda root: write_files(root, {"a-000000.tar": "", "a-000001.tar": ""}, ("art/1.jpg",)),
            keep,
        ),
        ("wds", lambda root: write_files(root, {"a.tar": ""}), keep),
        (
            "cityscapes",
            lambda root: write_files(root, {}, ("leftImg8bit/train/ulm/1_leftImg8bit.png",)),
            keep,
        ),
        ("camvid", lambda root: write_files(root, {}, ("701_StillsRaw_full/1.png",)), keep),
    ],
)
def test_pieces_of_sets_are_told(
    word: str, write: Callable[[Path], object], take_away: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path)
    take_away(tmp_path)
    assert f"{word}:{tmp_path}" in (recognize(tmp_path) or "")


def refuse(root: Path) -> str:
    """The word that a refusal names, which opens."""
    with pytest.raises(UsageError) as caught:
        open_concepts(f"folder:{root}")
    word = str(caught.value).rpartition("open it as ")[2]
    assert len(open_concepts(word)) > 0
    return word


@pytest.mark.parametrize("extra", [(), ("annotations/captions_val2017.json",)])
def test_annotations_beside_the_pictures_are_told(tmp_path: Path, extra: tuple[str, ...]) -> None:
    coco.write_lvis(tmp_path / "lvis")
    (tmp_path / "lvis" / "annotations" / "lvis_v1_val.json").rename(tmp_path / "lvis" / "lvis_v1_val.json")
    shutil.rmtree(tmp_path / "lvis" / "annotations")
    (tmp_path / "lvis" / "images").mkdir()
    for part in [*(tmp_path / "lvis").glob("*2017")]:
        part.rename(tmp_path / "lvis" / "images" / part.name)
    write_files(tmp_path / "lvis", dict.fromkeys(extra, "{}"))
    assert refuse(tmp_path / "lvis") == f"coco:{tmp_path}/lvis,annotations=lvis_v1_val.json"
    assert refuse(tmp_path / "lvis" / "images") == f"coco:{tmp_path}/lvis,annotations=lvis_v1_val.json"
    assert len(open_concepts(f"folder:{tmp_path}/lvis/images/val2017")) > 0


@pytest.mark.parametrize("name", ["instances_all.json", "paco_v1.json", "annotations.json", "my_coco.json"])
@pytest.mark.parametrize("pictures", ["", "images", "val2017"])
def test_a_file_of_annotations_by_itself_is_told(tmp_path: Path, name: str, pictures: str) -> None:
    coco.write_coco(tmp_path / "coco")
    shutil.copytree(tmp_path / "coco" / "val2017", tmp_path / "set" / pictures)
    shutil.copy(tmp_path / "coco" / "annotations" / "instances_val2017.json", tmp_path / "set" / name)
    assert refuse(tmp_path / "set") == f"coco:{tmp_path}/set,annotations={name}"


@pytest.mark.parametrize(
    "data",
    [
        {"_via_settings": {}},
        {"images": ["1.jpg"]},
        {"annotations": [{"file": "1.jpg", "label": "dog"}]},
        {"categories": ["dog"]},
        [],
    ],
)
def test_a_file_that_is_no_annotations_tells_nothing(data: object, tmp_path: Path) -> None:
    write_files(tmp_path, {"annotations.json": json.dumps(data)}, ("images/1.jpg",))
    assert len(open_concepts(f"folder:{tmp_path}")) == 1


@pytest.mark.parametrize("first", ["info", "images", "annotations", "categories"])
def test_the_keys_of_annotations_may_come_in_any_order(first: str, tmp_path: Path) -> None:
    coco.write_coco(tmp_path)
    data = json.loads((tmp_path / "annotations" / "instances_val2017.json").read_text())
    data = {first: data[first], **data}
    (tmp_path / "val2017" / "annotations.json").write_text(json.dumps(data, indent=2))
    assert refuse(tmp_path / "val2017") == f"coco:{tmp_path}/val2017,annotations=annotations.json"


@pytest.mark.parametrize("word", [word for word in PUBLISHED if not word.startswith(("hf:", "wds:"))])
def test_the_folder_above_a_root_is_refused_with_its_word(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(word, tmp_path)
    assert refuse(tmp_path).startswith(f"{word.partition(':')[0]}:{tmp_path}")
    monkeypatch.chdir(tmp_path)
    assert refuse(Path()).startswith(f"{word.partition(':')[0]}:")


@pytest.mark.parametrize("name", ["_annotations.coco.json", "annotations.json"])
def test_splits_with_annotations_of_their_own_are_told(name: str, tmp_path: Path) -> None:
    coco.write_coco(tmp_path / "coco")
    for split, part in (("train", "train2017"), ("valid", "val2017")):
        shutil.copytree(tmp_path / "coco" / part, tmp_path / "set" / split)
        file = tmp_path / "coco" / "annotations" / f"instances_{part}.json"
        shutil.copy(file, tmp_path / "set" / split / name)
    for named, split in (("set", "train"), ("set/train", "train"), ("set/valid", "valid")):
        assert refuse(tmp_path / named) == f"coco:{tmp_path}/set/{split},annotations={name}"


def test_annotations_of_pictures_that_are_there_are_named(tmp_path: Path) -> None:
    coco.write_coco(tmp_path)
    shutil.rmtree(tmp_path / "train2017")
    assert refuse(tmp_path) == f"coco:{tmp_path},annotations=instances_val2017.json"


def test_masks_in_files_of_matlab_are_told_with_their_folder(tmp_path: Path) -> None:
    from scipy.io import savemat

    for number, masks in enumerate(("trainval", "Annotations_Part")):
        top = tmp_path / str(number)
        root = top / "VOCdevkit" / "VOC2010"
        for folder in ("JPEGImages", masks):
            (root / folder).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(root / "JPEGImages" / "1.jpg")
        (root / "labels.txt").write_text("1: accordion\n2: aeroplane\n")
        part = np.zeros((1, 0), [("part_name", object), ("mask", object)])
        thing = np.empty((1, 1), [(name, object) for name in ("class", "class_ind", "mask", "parts")])
        thing[0, 0] = ("dog", np.uint8([[12]]), np.ones((4, 4), np.uint8), part)
        whole = np.empty((1, 1), [("imname", object), ("objects", object)])
        whole[0, 0] = ("1", thing)
        data = {"LabelMap": np.ones((4, 4), np.uint16)} if masks == "trainval" else {"anno": whole}
        savemat(root / masks / "1.mat", data)
        for place in (top, top / "VOCdevkit", root, root / masks):
            assert refuse(place) == f"voc:{root},masks={masks}"


def test_context_without_the_masks_of_voc_is_told_with_its_folder(tmp_path: Path) -> None:
    voc.write_context(tmp_path)
    root = tmp_path / "VOCdevkit" / "VOC2012"
    shutil.rmtree(root / "SegmentationClass", ignore_errors=True)
    assert refuse(root) == f"voc:{root},masks=SegmentationClassContext"


def test_many_links_are_told_by_few_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {}, ("there/1.jpg",))
    root = tmp_path / "links"
    root.mkdir()
    for number in range(3000):
        (root / f"{number}.jpg").symlink_to(tmp_path / "there" / "1.jpg")
    (root / "x.tar").touch()
    looks = []
    for name in ("stat", "lstat"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *given, real=real, **more: looks.append(given) or real(*given, **more)
        )
    isdir = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: looks.append(path) or isdir(path))
    assert recognize(root) is None
    assert len(looks) < 1000
