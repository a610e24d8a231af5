"""What made a run: typed in memory, the same record on disk, whatever other versions add."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from made_dissection import made_dissection

from unitscope.dissection.recipe import Recipe
from unitscope.dissection.storage import load
from unitscope.errors import RunError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    made_dissection(8, ("a",)).save(tmp_path)
    return tmp_path / "run.json"


def test_a_recipe_is_typed_and_frozen():
    recipe = made_dissection(8, ("a", "b")).recipe
    assert (recipe.network.name, recipe.source.images, recipe.layers) == (
        "efficientnet-lite0",
        40,
        ("a", "b"),
    )
    assert recipe.convention.name == "netdissect"
    assert recipe.frame.mask_size == (48, 48)
    with pytest.raises(FrozenInstanceError):
        recipe.seed = 1


def test_a_recipe_comes_back_from_its_record():
    recipe = made_dissection(8, ("a",)).recipe
    recipe = replace(recipe, thresholds={"a": (0.5, float("inf"), float("-inf"))}, quality={"levels": 9})
    record = json.loads(json.dumps(recipe.record(), allow_nan=False))
    assert record["thresholds"] == {"a": [0.5, "Infinity", "-Infinity"]}
    assert list(record)[:6] == ["network", "source", "layers", "convention", "frame", "thresholds"]
    assert Recipe.parse(record).record() == record
    assert replace(Recipe.parse(record), network=recipe.network) == recipe


def test_what_another_version_recorded_is_kept(saved, tmp_path):
    about = json.loads(saved.read_text())
    about["recipe"] |= {"color": "blue"}
    about["recipe"]["network"]["revision"] = 7
    about["recipe"]["source"]["license"] = None
    saved.write_text(json.dumps(about))
    run = load(tmp_path)
    assert run.recipe.more == {"color": "blue"}
    run.save(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "run.json").read_text())["recipe"] == about["recipe"]


@pytest.mark.parametrize("part", ["network", "source", "layers", "convention", "frame"])
def test_a_run_without_a_part_of_its_recipe_is_damaged(part, saved, tmp_path):
    about = json.loads(saved.read_text())
    del about["recipe"][part]
    saved.write_text(json.dumps(about))
    with pytest.raises(RunError, match=f"damaged: it has no '{part}'; dissect again"):
        load(tmp_path)


@pytest.mark.parametrize("part", ["seed", "device", "confidence", "torch"])
def test_a_run_of_a_version_that_recorded_less_opens(part, saved, tmp_path):
    about = json.loads(saved.read_text())
    about["recipe"].pop(part, None)
    saved.write_text(json.dumps(about))
    assert getattr(load(tmp_path).recipe, part) is None
    assert part not in load(tmp_path).recipe.record()
