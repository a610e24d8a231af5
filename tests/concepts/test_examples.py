"""An example checks itself, in plain words."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import unitscope as us
from unitscope.concepts.inspection import check_source
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary, check_first, no_planes
from unitscope.errors import SourceError, UsageError

IMAGE, PLANES = np.zeros((4, 6, 3), np.uint8), np.ones((1, 2, 3), np.uint16)
VOID = np.zeros((2, 3), bool)

RIGHT: dict[str, tuple[Any, ...]] = {
    "an image alone": ("a", IMAGE),
    "bands": ("a", np.zeros((4, 6, 9), np.float32)),
    "one band of 16 bits": ("a", np.zeros((4, 6, 1), np.uint16)),
    "all there is": ("a", IMAGE, PLANES, (1, 65_534), VOID),
    "no planes but void": ("a", IMAGE, np.zeros((0, 1, 1), np.uint16), (), VOID),
    "no key": ("", IMAGE),
}

WRONG: dict[str, tuple[tuple[Any, ...], str]] = {
    "a key that is a number": ((3, IMAGE), "an example has the key 3; wanted a text"),
    "real pixels": (("a", IMAGE / 255), "its image is float64 of shape \\(4, 6, 3\\); wanted uint8"),
    "a gray image": (("a", IMAGE[..., 0]), "its image is uint8 of shape \\(4, 6\\); wanted uint8"),
    "a tensor": (("a", torch.zeros(4, 6, 3)), "its image is a Tensor; wanted uint8"),
    "no image": (("a", None), "its image is nothing; wanted uint8"),
    "an empty image": (("a", IMAGE[:0]), "its image is uint8 of shape \\(0, 6, 3\\)"),
    "signed labels": (("a", IMAGE, PLANES.astype(int)), "its planes are int64 of shape .*; wanted uint16"),
    "one plane": (("a", IMAGE, PLANES[0]), "its planes are uint16 of shape \\(2, 3\\); wanted uint16"),
    "a list of planes": (("a", IMAGE, [PLANES[0]]), "its planes are a list; wanted uint16"),
    "a list of ids": (("a", IMAGE, PLANES, [1]), r"its ids are \[1\]; wanted a tuple"),
    "one id": (("a", IMAGE, PLANES, 1), "its ids are 1; wanted a tuple"),
    "the id of nothing": (("a", IMAGE, PLANES, (0,)), "its ids hold 0; wanted whole numbers from 1 to 65534"),
    "an id too large": (("a", IMAGE, PLANES, (2, 65_535)), "its ids hold 65535; wanted whole numbers"),
    "an id of numpy": (
        ("a", IMAGE, PLANES, (np.int64(2),)),
        "its ids hold np.int64.2.; wanted whole",
    ),
    "a name as id": (("a", IMAGE, PLANES, ("sky",)), "its ids hold 'sky'; wanted whole numbers"),
    "void in numbers": (
        ("a", IMAGE, PLANES, (), VOID * 1),
        "its void mask is int64 of .*; wanted bool",
    ),
    "void of another size": (
        ("a", IMAGE, PLANES, (), VOID[:1]),
        "void mask is .1, 3., its labels are .2, 3.",
    ),
}


def make(key: Any, image: Any, planes: Any = None, ids: Any = (), void: Any = None) -> Example:
    """An example as it is made outside of the tests, whose type checks would come first."""
    example = object.__new__(Example)
    given = {"key": key, "image": image, "planes": no_planes() if planes is None else planes}
    for name, value in {**given, "ids": ids, "void": void}.items():
        object.__setattr__(example, name, value)
    example.__post_init__()
    return example


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_passes(case: str) -> None:
    assert make(*RIGHT[case]).key == RIGHT[case][0]


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_in_one_line(case: str) -> None:
    given, said = WRONG[case]
    with pytest.raises(SourceError, match=said) as told:
        make(*given)
    assert "\n" not in str(told.value)


class Own:
    """A source from Python that gives what it is told to."""

    vocabulary = Vocabulary((Concept(1, "sky", "object"),))

    def __init__(self, make: Any) -> None:
        self.make = make

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int, /) -> Any:
        return self.make()


def dissect(source: Any) -> None:
    us.dissect(us.Network(nn.Sequential(nn.AvgPool2d(2))), source, ["0"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: (IMAGE, PLANES), "the source's first example is a tuple; wanted unitscope.Example"),
        (lambda: make("a", IMAGE / 255), "a: its image is float64"),
    ],
)
def test_a_source_from_python_is_told_by_its_first_example(make: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        dissect(Own(make))
    report = check_source(Own(make))
    assert len(report.problems) == 4


def test_what_is_no_source_is_told() -> None:
    with pytest.raises(UsageError, match="the source is a list without vocabulary; wanted an object with"):
        check_first([IMAGE])


@pytest.mark.parametrize("void", [None, np.ones((4, 6), bool)])
def test_a_dissection_without_any_label_is_an_error(void: Any, tmp_path: Any) -> None:
    labels = np.zeros((1, 4, 6), np.uint16) if void is None else np.ones((1, 4, 6), np.uint16)
    source = Own(lambda: Example("a.png", IMAGE, labels, (), void))
    network = us.Network(nn.Sequential(nn.AvgPool2d(2)))
    with pytest.raises(SourceError, match=r"not one of 4 images \(a.png, .*\) has a label of the 1 concepts"):
        us.dissect(network, source, ["0"], out=tmp_path / "run")
    assert any((tmp_path / "run" / "shards").iterdir())  # what was read is kept
