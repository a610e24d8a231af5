"""Names of several data sets that mean the same become one."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitscope.concepts.union.synonyms import (
    POSITIONS,
    SYNONYMS,
    Thesaurus,
    drop_positions,
    fold_name,
    open_thesaurus,
)
from unitscope.concepts.vocabulary import Concept
from unitscope.errors import SourceError, UsageError


def test_case_and_underscores_do_not_matter() -> None:
    assert fold_name(" Traffic_LIGHT\n") == "traffic light"


@given(st.text())
def test_folding_twice_changes_nothing_more(name: str) -> None:
    assert fold_name(fold_name(name)) == fold_name(name)


@given(st.text())
def test_a_folded_name_cannot_be_misread_in_a_table(name: str) -> None:
    folded = fold_name(name)
    assert ";" not in folded
    assert "\n" not in folded
    assert not folded.replace(".", "").isdigit() or not folded.isascii()
    assert folded[:1] not in tuple("=+-@") or not folded


def test_positional_adjectives_are_dropped_but_never_the_last_word() -> None:
    assert drop_positions("upper left arm") == "arm"
    assert drop_positions("back") == "back"
    assert all(drop_positions(f"{word} wheel") == "wheel" for word in POSITIONS)


def test_the_usual_synonyms_meet() -> None:
    find = Thesaurus().find
    assert find("aeroplane") == find("plane") == "airplane"
    assert find("motorbike") == "motorcycle"
    assert find("tv monitor") == find("television") == "tv"
    assert find("sofa") == "couch"
    assert find("zebra") == "zebra"


def test_no_name_is_in_two_groups_and_all_are_folded() -> None:
    names = [name for group in SYNONYMS for name in group]
    assert len(names) == len(set(names))
    assert [fold_name(name) for name in names] == names


def test_own_synonyms_extend_rename_and_take_out() -> None:
    assert open_thesaurus({"vehicle": ["Car", "bus"]}).find("automobile") == "vehicle"
    assert open_thesaurus({"aeroplane": ["airplane"]}).find("plane") == "aeroplane"
    assert open_thesaurus({"plane": []}).find("plane") == "plane"
    assert open_thesaurus({"plane": []}).find("aeroplane") == "airplane"


def test_synonyms_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.json"
    path.write_text(json.dumps({"animal": ["cat"]}))
    assert open_thesaurus(path).find("cat") == "animal"


@pytest.mark.parametrize("synonyms", [{"a": ["b"], "c": ["b"]}, {"a": "b"}])
def test_contradicting_or_malformed_synonyms_are_refused(synonyms: dict) -> None:
    with pytest.raises(UsageError, match="synonyms"):
        open_thesaurus(synonyms)


@pytest.mark.parametrize("text", ["[1]", '{"a": [1]}', '{"a": 1}'])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "synonyms.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="wanted an object"):
        open_thesaurus(path)


def test_scenes_and_colors_have_a_suffix_once() -> None:
    unify = Thesaurus().unify
    assert unify(Concept(1, "Street", "scene")) == unify(Concept(1, "street-s", "scene")) == "street-s"
    assert unify(Concept(1, "red", "color")) == "red-c"
    assert unify(Concept(1, "street", "object")) == "street"


def test_a_scene_keeps_its_position() -> None:
    assert Thesaurus().unify(Concept(1, "front yard", "scene")) == "front yard-s"


def test_a_name_of_nothing_is_refused() -> None:
    with pytest.raises(SourceError, match="concept 3 has no usable name"):
        Thesaurus().unify(Concept(3, " =;", "object"))
