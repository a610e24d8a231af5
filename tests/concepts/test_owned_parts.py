"""Parts on their owners: a slow search keeps the same labels, and names that are no parts are refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import unitscope as us
from unitscope.concepts.owned_parts import keep_owned, read_owners
from unitscope.concepts.segmented import SegmentedSource
from unitscope.errors import SourceError, UsageError
from unitscope.lab.world import open_drawn
from unitscope.lab.zoo.weights_files import open_segmenter

WORDS = us.Vocabulary(
    (
        us.Concept(1, "car", "object"),
        us.Concept(2, "house", "object"),
        us.Concept(3, "wheel", "part"),
        us.Concept(4, "door", "part"),
        us.Concept(5, "leaf", "part"),
        us.Concept(6, "door", "object"),
    )
)
OWNERS = {"wheel": ["car"], "door": ["car", "house"]}
PLANES = arrays.arrays(np.uint16, (3, 4, 5), elements=st.integers(0, 6))


@dataclass(frozen=True, eq=False)
class Made:
    planes: np.ndarray
    vocabulary = WORDS
    owners = OWNERS

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return us.Example(str(range(1)[index]), np.zeros((8, 10, 3), np.uint8), self.planes)


@settings(max_examples=100)
@given(PLANES)
def test_a_part_stays_where_an_owner_is_in_the_same_pixel(planes):
    kept = keep_owned(Made(planes), OWNERS)[0].planes
    allowed = {3: {1}, 4: {1, 2}}
    for plane, row, column in np.ndindex(planes.shape):
        label, beside = planes[plane, row, column], set(planes[:, row, column].tolist())
        stays = label not in allowed or bool(allowed[label] & beside)
        assert kept[plane, row, column] == (label if stays else 0)
    assert (keep_owned(Made(planes), "own")[0].planes == kept).all()
    assert (keep_owned(keep_owned(Made(planes), OWNERS), OWNERS)[0].planes == kept).all()


def test_the_drawn_world_has_every_part_on_its_owner():
    world, segmenter = open_drawn(count=6, size=64), open_segmenter()
    for example, kept in zip(world, keep_owned(world, segmenter.owners), strict=True):
        assert (example.planes == kept.planes).all()


def test_a_segmenter_knows_its_owners_and_a_file_says_others(tmp_path):
    text = "segmenter:zoo:segmenter,images=drawn:count=6,seed=3,size=64,owners="
    own = us.open_source(text + "own")
    seen = SegmentedSource(open_drawn(count=6, seed=3, size=64), open_segmenter())
    lost = sum(int((a.planes != b.planes).sum()) for a, b in zip(seen, own, strict=True))
    assert 0 < lost < sum(int((example.planes[1] > 0).sum()) for example in seen)
    assert own.spec.endswith("owners=own")
    assert own.digest != seen.digest
    file = tmp_path / "owners.csv"
    file.write_text("part,owner\nwheel,car\nwheel,object/truck\n")
    assert read_owners(file) == {"wheel": ["car", "object/truck"]}
    given_file = us.open_source(text + str(file))
    assert us.open_source(given_file.spec).digest == given_file.digest != own.digest


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("part,owner\nwheeel,car\n", UsageError, "no concept 'wheeel'"),
        ("part,owner\ncar,wheel\n", UsageError, "'car' is no part"),
        ("part,owner\nwheel,trunk\n", UsageError, "'wheel' cannot belong to 'trunk', which is a part"),
        ("part,owner\n", UsageError, "no part has an owner"),
        ("part,owner\nwheel,\n", SourceError, "line 2 lacks a part or its owner"),
        ("name,owner\nwheel,car\n", SourceError, "no column 'part'"),
    ],
)
def test_wrong_owners_are_refused_in_a_line(tmp_path, text, error, told):
    file = tmp_path / "owners.csv"
    file.write_text(text)
    with pytest.raises(error, match=told):
        us.open_source(f"drawn:count=2,owners={file}")


def test_no_owners_and_no_file_are_refused():
    with pytest.raises(UsageError, match="does not know what its parts belong to"):
        us.open_source("drawn:count=2,owners=own")
    with pytest.raises(SourceError, match=r"cannot read the owners in nowhere\.csv"):
        us.open_source("drawn:count=2,owners=nowhere.csv")
