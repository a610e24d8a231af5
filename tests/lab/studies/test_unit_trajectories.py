"""Units followed through training: counts as by hand, and over real dissections."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from unitscope.concepts.sources import open_concepts
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.lab.studies.training import find_half, follow_checkpoints, order_checkpoints
from unitscope.lab.studies.unit_trajectories import (
    NONE,
    Tracks,
    count_changes,
    find_births,
    find_movers,
    find_pasts,
    keep_share,
    track_units,
)
from unitscope.lab.world import open_drawn
from unitscope.networks.network import Network, Preprocessing

WORDS = Vocabulary(
    (
        Concept(1, "red-c", "color"),
        Concept(2, "woven", "texture"),
        Concept(3, "cat", "object"),
        Concept(4, "dog", "object"),
    )
)


def make(concepts, detector=None):
    """Tracks from rows of concept ids, 0 for none."""
    ids = np.array(concepts)
    return Tracks(
        tuple(range(len(ids))), WORDS, ids, ids * 0.1, ids > 0 if detector is None else np.array(detector)
    )


def test_pasts_births_and_changes_of_a_few_units():
    tracks = make([[1, 0, 3, 2], [2, 0, 3, 2], [3, 3, 4, 2]])
    assert tracks.categories[0] == ["color", NONE, "object", "texture"]
    assert count_changes(tracks) == Counter(
        {("color", "texture"): 1, (NONE, NONE): 1, ("object", "object"): 2, ("texture", "texture"): 2,
         ("texture", "object"): 1, (NONE, "object"): 1}
    )  # fmt: skip
    assert find_pasts(tracks, "object") == Counter({"texture": 1, NONE: 2})
    assert find_births(tracks, "object") == [2, 2, 0]
    assert keep_share(tracks) == pytest.approx(1 / 3)
    assert find_movers(tracks) == [2, 0]
    assert tracks.concept(0, 1) is None
    assert tracks.concept(2, 2).name == "dog"


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=2, max_size=5))
def test_changes_count_every_unit_at_every_step(rows):
    tracks = make(rows)
    changes = count_changes(tracks)
    assert sum(changes.values()) == 3 * (len(rows) - 1)
    ended = sum(sum(find_pasts(tracks, one).values()) for one in ("color", "texture", "object"))
    assert ended == int((np.array(rows[-1]) > 0).sum())


def test_tracks_need_layers_that_belong_together():
    with pytest.raises(UsageError, match="wanted one for each"):
        track_units([], [])


def network(seed, units=6):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, units, 5, 4), nn.ReLU())
    return Network(module.eval(), Preprocessing((64, 64)), (), f"small {seed}")


def test_a_training_is_followed_as_its_dissections_say():
    source = open_drawn(count=24, seed=1, size=64)
    training = follow_checkpoints({5: network(1), 1: network(0)}, "1", source)
    assert training.tracks.steps == (1, 5)
    for place, one in enumerate((network(0), network(1))):
        found = dissect(one, source, ["1"], confidences=Confidences(100, 20))["1"]
        assert (training.tracks.concepts[place] == found.labels.best).all()
        assert (training.tracks.detector[place] == found.labels.detector).all()
        assert training.rows[place].detectors == found.detectors
        assert training.rows[place].unique["label"] == found.unique["label"]
    with pytest.raises(UsageError, match="two or more"):
        follow_checkpoints({1: network(0)}, "1", source)
    few, many = (
        dissect(network(0, units), source, ["1"], confidences=Confidences(0, 20))["1"] for units in (4, 6)
    )
    with pytest.raises(UsageError, match="cannot be followed"):
        track_units([few, many], [1, 2])
    other = dissect(
        network(0, 4), open_concepts("drawn:count=24,seed=1,size=64,quadrants=object"), ["1"],
        confidences=Confidences(0, 20),
    )["1"]  # fmt: skip
    with pytest.raises(UsageError, match="one source"):
        track_units([few, other], [1, 2])


def test_checkpoints_are_ordered_by_their_last_number(tmp_path):
    names = [tmp_path / name for name in ("run2-step-10.pt", "run2-step-9.pt", "run2-step-100.pt")]
    assert list(order_checkpoints(names)) == [9, 10, 100]
    assert list(order_checkpoints([tmp_path / "b.pt", tmp_path / "a.pt"]).values()) == [
        tmp_path / "a.pt", tmp_path / "b.pt",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="both of step 9"):
        order_checkpoints([tmp_path / "a-9.pt", tmp_path / "b-9.pt"])


def test_half_is_where_half_of_the_most_is_reached():
    source = open_drawn(count=24, seed=1, size=64)
    training = follow_checkpoints({1: network(0), 2: network(1)}, "1", source)
    counts = training.count("color")
    expected = next(step for step, count in zip((1, 2), counts, strict=True) if count >= max(counts) / 2)
    assert find_half(training, ("color",)) == expected
    assert np.isnan(find_half(training, ("scene",))) or max(training.count("scene"))
