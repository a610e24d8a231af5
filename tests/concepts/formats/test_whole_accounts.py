"""What a published set does not use is counted, whatever lies in its folders."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sets.ade20k import write_ade20k_2016, write_ade20k_2021, write_scene_parsing
from sets.dtd import write_dtd
from sets.files import write_files
from sets.imagenet import write_devkit, write_imagenet, write_imagenet_folders
from sets.places365 import write_places365
from sets.sun397 import write_sun397
from unitscope.concepts.formats.ade20k.scene_parsing import INSTANCES
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.whole.images import MISSING
from unitscope.concepts.sources import open_concepts


def write_listed(root: Path) -> Path:
    texts = {
        "list.txt": "a/one.png 1\nb/two.png 2\nb/gone.png 2\n",
        "names.txt": "sky\nsea\nstreet\n",
        "splits.json": '{"val": ["b/two.png"]}',
    }
    return write_files(root, texts, ("a/one.png", "b/two.png", "b/three.png"))


SETS = {
    "folder,list=list.txt": write_listed,
    "folder,list=list.txt,names=names.txt,bare=in": write_listed,
    "folder,list=list.txt,names=names.txt,split=val": write_listed,
    "dtd": write_dtd,
    "dtd,split=test10": write_dtd,
    "dtd,split=train1,joint=yes": write_dtd,
    "sun397": write_sun397,
    "sun397,split=Testing_01": write_sun397,
    "places365": write_places365,
    "places365,split=val": write_places365,
    "places365,split=train": write_places365,
    "imagenet": write_imagenet_folders,
    "imagenet,split=val": write_imagenet_folders,
    "imagenet:kaggle": write_imagenet,
    "imagenet:kaggle,split=val": write_imagenet,
    "imagenet:kaggle,split=train": write_imagenet,
    "imagenet:devkit": write_devkit,
    "imagenet:devkit,split=val": write_devkit,
    "ade20k": write_scene_parsing,
    "ade20k:2021": write_ade20k_2021,
    "ade20k:2016": write_ade20k_2016,
}
"""How sets are opened, behind the word which of their forms it is, and what writes them."""

extras = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["extra", ".hidden", "ADE_val_9_seg", "n00000001_1", "two words", "instance_000_x"]),
        st.sampled_from(["", ".jpg", ".JPEG", ".png", ".txt", ".json", ".gif", "_atr.txt"]),
        st.sampled_from(["file", "file", "nowhere", "circle", "top"]),
    ),
    max_size=8,
)


def add(root: Path, number: int, name: str, kind: str) -> None:
    folders = sorted(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())
    folders = [path for path in folders if not path.name.startswith("ADE_")]  # which are left out whole
    path = [root, *folders][number % (len(folders) + 1)] / name
    if not os.path.lexists(path):
        if kind == "file":
            path.write_bytes(b"")
        else:
            path.symlink_to({"nowhere": "nowhere at all", "circle": path.parent, "top": root}[kind])


def list_all(root: Path) -> set[str]:
    """Every file and link below a folder."""
    found = set()
    for folder, names, files in os.walk(root):
        found |= {os.path.join(folder, name) for name in files}
        found |= {path for name in names if os.path.islink(path := os.path.join(folder, name))}
    return found


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=12)
@given(extras=extras)
def test_files_that_are_taken_and_left_out_are_all_there_are(name, extras) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNITSCOPE_CACHE", f"{folder}/cache")
        root = SETS[name](Path(folder) / "set")
        for number, stem, suffix, kind in extras:
            add(root, number, stem + suffix, kind)
        form, _, options = name.partition(",")
        source = open_concepts(f"{form.partition(':')[0]}:{root}{options and f',{options}'}")
        assert isinstance(source, AnnotatedSource)
        used = {os.path.realpath(path) for path in (*source.list_files(), *source.texts)}
        every = list_all(root)
        rest = [path for path in every if os.path.realpath(path) not in used or os.path.islink(path)]
        whole = [one for one in source.left_out if one.reason == INSTANCES]
        rest = [path for path in rest if not any(part in path for one in whole for part in one.examples)]
        counted = sum(one.files for one in source.left_out if one not in whole and one.reason != MISSING)
        assert counted == len(rest), (sorted(rest), source.left_out)
