"""The page of data sets: every word in its table opens a tiny set that is laid out as published."""

import re
from pathlib import Path

import pytest

from sets.published_words import PAGE, WORDS, WRITERS, write_tree
from unitscope.concepts.formats.published import recognize
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import KINDS, open_concepts
from unitscope.errors import UsageError


def test_every_kind_is_on_the_page() -> None:
    text = PAGE.read_text()
    assert [kind for kind in KINDS if kind != ".py" and f"{kind}:" not in text] == []
    assert len(WORDS) == len(WRITERS)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_page_opens_its_set(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(word, tmp_path)
    monkeypatch.chdir(tmp_path)
    report = check_source(word)
    assert report.images > 0
    assert report.labelled > 0
    assert not [one for one in report.problems if "cannot be read" in one.message]
    again = open_concepts(report.spec)
    assert again.digest == report.digest


@pytest.mark.parametrize("word", [word for word in WORDS if not word.startswith("folder:")])
def test_a_published_tree_is_refused_as_a_folder_with_its_word(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(word, tmp_path)
    monkeypatch.chdir(tmp_path)
    kind, _, place = word.partition(":")
    root = Path(re.split(r",|/train-", place)[0])
    root = root.parent if kind == "coco-panoptic" else root
    with pytest.raises(UsageError, match=rf"open it as {kind}:"):
        open_concepts(f"folder:{root}")
    told = recognize(root)
    assert told is not None
    if kind not in ("hf", "wds"):  # whose columns and members the user names
        assert len(open_concepts(told)) > 0
