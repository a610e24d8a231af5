"""Sources that a function of the user's own file returns."""

from pathlib import Path

import numpy as np
import pytest

from unitscope.concepts.derived import find_left_out, source_digest, source_spec
from unitscope.concepts.frames import Frame
from unitscope.concepts.inspection import check_source
from unitscope.concepts.packed import pack_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError
from unitscope.networks.open_source import open_source

CODE = """
import numpy as np
import unitscope as us
from shades_beside import SHADE

class Grays:
    vocabulary = us.Vocabulary((us.Concept(1, "gray", "color"), us.Concept(2, "dark", "color")))

    def __init__(self, count, wrong=-1):
        self.count, self.wrong = count, wrong

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError(index)
        if index == self.wrong:
            raise KeyError("line one\\nline two")
        image = np.full((4, 6, 3), SHADE + index, np.uint8)
        return us.Example(f"gray {index}", image, ids=(1 + index % 2,))

def grays(count="4", wrong="-1"): return Grays(int(count), int(wrong))
def anything(**options): return Grays(len(options) + 1)
def folder(place): return us.open_source(f"folder:{place}")
def needs(root): return Grays(2)
def number(): return 3
def fails(): raise RuntimeError("first\\nsecond")
def leaves(): raise SystemExit(0)
def misses(): return open("none.txt")
def refuses(): raise us.UnitscopeError("as it is")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "shades_beside.py").write_text("SHADE = 90")
    (tmp_path / "sets.py").write_text(CODE)
    return tmp_path / "sets.py"


def test_a_function_is_called_with_its_options_as_texts(file: Path) -> None:
    source = open_concepts(f"{file}:grays")
    assert (len(source), source[3].key, source[3].image[0, 0, 0]) == (4, "gray 3", 93)
    assert source_spec(source) == f"{file}:grays"
    source = open_source(f"{file}:grays,count=3")
    assert len(source) == 3
    assert [one.name for one in source.vocabulary] == ["gray", "dark"]
    assert len(open_concepts(f"{file}:anything,a=1,b=2")) == 3
    with pytest.raises(IndexError):
        source[3]


def test_options_that_every_source_has_are_seen_to(file: Path) -> None:
    source = open_concepts(f"{file}:grays,count=8,half=train,limit=2")
    assert len(source) == 2
    assert source_spec(source) == f"{file}:grays,count=8,half=train,limit=2"
    again = open_concepts(source_spec(source))
    assert source_digest(again) == source_digest(source)
    assert [again[i].key for i in range(2)] == [source[i].key for i in range(2)]


def test_the_digest_changes_with_options_and_code(file: Path) -> None:
    digest = source_digest(open_concepts(f"{file}:grays"))
    assert source_digest(open_concepts(f"{file}:grays,count=5")) != digest
    moved = file.rename(file.with_name("other.py"))
    assert source_digest(open_concepts(f"{moved}:grays")) == digest
    moved.write_text(CODE.replace("+ index", "- index"))
    assert source_digest(open_concepts(f"{moved}:grays")) != digest


def test_a_source_that_knows_more_of_itself_keeps_that(file: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "set" / "street").mkdir(parents=True)
    Image.new("RGB", (6, 4)).save(tmp_path / "set" / "street" / "a.png")
    (tmp_path / "set" / "notes.txt").write_text("")
    own, plain = (
        open_concepts(f"{file}:folder,place={tmp_path / 'set'}"),
        open_concepts(f"folder:{tmp_path / 'set'}"),
    )
    assert source_digest(own) == source_digest(plain)
    assert find_left_out(own) == find_left_out(plain) != ()
    assert source_spec(own) == f"{file}:folder,place={tmp_path / 'set'}"


def test_it_is_checked_and_packed_as_any_other(file: Path, tmp_path: Path) -> None:
    report = check_source(f"{file}:grays,wrong=2")
    assert (report.images, report.readable, [one.images for one in report.concepts]) == (4, 3, [1, 2])
    assert [one.message for one in report.problems] == [
        f"{file}:grays,wrong=2: image 2 failed: KeyError: 'line one\\nline two'"
    ]
    packed = pack_source(open_concepts(f"{file}:grays"), Frame((4, 4), (2, 2)), tmp_path / "cache")
    assert np.array_equal(packed[1].image, np.full((4, 4, 3), 91))


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("sets.py", UsageError, "does not say which function returns the source; wanted FILE.py:FACTORY["),
        ("sets.py:", UsageError, "does not say which function returns the source"),
        ("none.py:grays", UsageError, "there is no file"),
        ("sets.py:grais", UsageError, "has no function 'grais'; near names: grays"),
        ("sets.py:grays,size=3", UsageError, "unexpected keyword argument 'size'); it takes count, wrong"),
        ("sets.py:needs", UsageError, "missing a required argument: 'root'); it takes root"),
        ("sets.py:grays,count=2,count=3", UsageError, "the option 'count' is given twice"),
        (
            "sets.py:number",
            SourceError,
            "sets.py:number returned int; wanted a source of concepts: a vocabulary",
        ),
        ("sets.py:fails", SourceError, "sets.py:fails failed: RuntimeError: first second"),
        ("sets.py:leaves", SourceError, "sets.py:leaves failed: SystemExit: 0"),
        ("sets.py:misses", SourceError, "sets.py:misses failed: FileNotFoundError: "),
        ("sets.py:grays,count=many", SourceError, "failed: ValueError: invalid literal"),
    ],
)
def test_what_is_no_source_is_told_in_one_line(file, spec, error, message) -> None:
    with pytest.raises(error) as caught:
        open_concepts(f"{file.parent}/{spec}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
