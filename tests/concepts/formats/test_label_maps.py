"""Pictures and masks joined by name: nothing is lost, whatever lies in the folder."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sets.camvid import write_codes, write_colors, write_segnet
from sets.cityscapes import write_cityscapes
from sets.cocostuff import write_cocostuff
from sets.mapillary import write_mapillary
from sets.voc import write_voc
from unitscope.concepts.formats.annotated import AnnotatedSource, MaskFiles
from unitscope.concepts.formats.color_masks import ColorFiles
from unitscope.concepts.formats.maps.label_maps import MISSING, pair_masks
from unitscope.concepts.formats.roots import find_root
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

SETS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "voc": ("voc", write_voc),
    "cityscapes": ("cityscapes", write_cityscapes),
    "segnet": ("camvid", write_segnet),
    "colors": ("camvid", write_colors),
    "codes": ("camvid", write_codes),
    "mapillary": ("mapillary", write_mapillary),
    "cocostuff": ("cocostuff", write_cocostuff),
}

keys = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "x/a", "y/b"]), st.integers(0, 2)), unique=True, max_size=9
)


@given(keys, keys)
def test_a_mask_is_joined_where_both_names_are_the_only_ones(
    pictures: list[tuple[str, int]], masks: list[tuple[str, int]]
) -> None:
    named = [(key, f"{key}.{number}.jpg") for key, number in pictures]
    drawn = [(key, f"{key}.{number}.png") for key, number in masks]
    pairs = pair_masks(named, drawn)
    both = Counter(key for key, _ in named), Counter(key for key, _ in drawn)
    assert pairs.masks == {
        name: mask
        for key, name in named
        for other, mask in drawn
        if key == other and both[0][key] == both[1][key] == 1
    }
    rest = [name for _, name in pairs.left_out]
    assert sorted([*pairs.masks, *pairs.masks.values(), *rest]) == sorted(name for _, name in named + drawn)
    assert {name for name, _ in pairs.wrong} <= set(rest)


@pytest.fixture(scope="module", params=SETS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    word, write = SETS[request.param]
    return word, write(tmp_path_factory.mktemp(request.param))


def change(folder: Path, names: list[str], what: str, place: int) -> None:
    """One accident to a file of a set, or beside it."""
    path = folder / names[place % len(names)]
    if what == "gone":
        path.unlink(missing_ok=True)
    elif what == "linked":
        link = path.with_name("link" + path.suffix)
        link.unlink(missing_ok=True)
        link.symlink_to("nowhere")
    elif what == "doubled":
        path.with_suffix(".bmp").write_bytes(b"")
    elif what == "hidden":
        path.with_name(".hidden.png").write_bytes(b"")
    elif what == "turned":
        path.with_suffix(".JPEG").write_bytes(b"")
    elif what == "loose":
        path.with_name("notes").write_bytes(b"")
    else:
        (path.parent / "below").mkdir(exist_ok=True)
        (path.parent / "below" / path.name).write_bytes(b"")


changes = st.lists(
    st.tuples(
        st.sampled_from(["gone", "linked", "doubled", "hidden", "turned", "loose", "below"]),
        st.integers(0, 99),
    ),
    max_size=6,
)


@settings(max_examples=15)
@given(changed=changes)
def test_what_is_taken_and_what_is_left_out_is_all_there_is(
    whole: tuple[str, Path], changed: list[tuple[str, int]]
) -> None:
    word, template = whole
    with tempfile.TemporaryDirectory() as folder:
        place = shutil.copytree(template, Path(folder) / "set", copy_function=os.link)
        names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
        for what, index in changed:
            change(place, names, what, index)
        try:
            source = open_concepts(f"{word}:{place}")
        except (SourceError, UsageError):
            return
        assert isinstance(source, AnnotatedSource)
        [layer] = source.layers
        assert isinstance(layer, MaskFiles | ColorFiles)
        assert set(layer.names) == set(source.keys)
        taken = len(source) + len(layer.names) + len(source.texts)
        left_out = sum(one.files for one in source.left_out if one.reason != MISSING)
        assert taken + left_out == sum(len(files) for _, _, files in os.walk(place))


def test_a_set_is_found_three_folders_down_and_no_deeper(tmp_path: Path) -> None:
    def holds(path: Path) -> bool:
        return (path / "set").is_dir()

    (tmp_path / "a" / "b" / "c" / "set").mkdir(parents=True)
    assert find_root(str(tmp_path), holds, "set/") == tmp_path / "a" / "b" / "c"
    assert find_root(str(tmp_path / "a" / "b" / "c" / "set"), holds, "set/") == tmp_path / "a" / "b" / "c"
    (tmp_path / "d" / "a" / "b" / "c" / "e" / "set").mkdir(parents=True)
    with pytest.raises(SourceError, match="has no set/; name the folder that holds them"):
        find_root(str(tmp_path / "d"), holds, "set/")
    with pytest.raises(UsageError, match="nowhere is not a folder; wanted one with set/"):
        find_root(str(tmp_path / "nowhere"), holds, "set/")
