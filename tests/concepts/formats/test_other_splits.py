"""Files of other splits are counted, whatever the set."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sets.published_words import WORDS, write_tree
from unitscope.concepts.derived import find_left_out
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.sources import open_concepts

SPLIT = [word for word in WORDS if word.startswith(("ade20k:", "hf:")) and "split=" in word]


@pytest.mark.parametrize("word", SPLIT)
def test_what_is_of_another_split_is_counted(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(word, tmp_path)
    monkeypatch.chdir(tmp_path)
    head, _, rest = word.partition(",split=")
    whole = open_concepts(",".join([head, *rest.split(",")[1:]]))
    part = open_concepts(word)
    reasons = {one.reason: one.files for one in find_left_out(part)}
    wanted = len(whole) - len(part)
    assert wanted > 0
    # A file of rows holds many; a picture has its mask, and what is told of it.
    assert reasons["of another split"] >= (1 if word.startswith("hf:") else 2 * wanted)
    assert "of another split" not in {one.reason for one in find_left_out(whole)}


def test_splits_of_a_folder_are_counted(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        for part, shape in (("images", (4, 6, 3)), ("masks", (4, 6))):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(np.ones(shape, np.uint8)).save(tmp_path / part / f"{name}.png")
    (tmp_path / "classes.json").write_text(json.dumps(["none", "cat"]))
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["a"], "val": ["b", "c"]}))
    source = open_folder(tmp_path, split="train")
    assert [str(one) for one in source.left_out] == [
        "2 files left out, of another split: images/b.png, images/c.png"
    ]
