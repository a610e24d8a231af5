"""Indexes on disk: found again, built again, never half there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitscope.concepts.formats import indexes
from unitscope.concepts.formats.indexes import Index, find_cache, join_texts, keep_index, split_texts

KINDS = ("u1", "<u2", "<i4", "<i8", "<f4", "<f8", "?")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNITSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "indexes"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "data.json").write_text("{}")
    return tmp_path / "data.json"


class Builder:
    """Builds an index of one array, and counts how often."""

    def __init__(self, size: int = 3) -> None:
        self.size = size
        self.built = 0

    def __call__(self) -> Index:
        self.built += 1
        return {"numbers": np.arange(self.size) * self.built, **join_texts("names", ["a", "ä/b.jpg", ""])}


def test_an_index_is_built_once(cache: Path, source: Path) -> None:
    build = Builder()
    for _ in range(3):
        index = keep_index("test-1", [source], build)
        assert index["numbers"].tolist() == [0, 1, 2]
        assert split_texts(index, "names") == ["a", "ä/b.jpg", ""]
        assert not index["numbers"].flags.writeable
    assert build.built == 1
    assert [path.suffix for path in cache.iterdir()] == [".npz"]


def test_what_changes_is_built_again(cache: Path, source: Path) -> None:
    build = Builder()
    keep_index("test-1", [source], build)
    keep_index("test-2", [source], build)
    keep_index("test-1", [source, source], build)
    source.write_text("{} ")
    keep_index("test-1", [source], build)
    os.utime(source, ns=(1, 1))
    keep_index("test-1", [source], build)
    (source.parent / "other.json").write_text("{} ")
    os.utime(source.parent / "other.json", ns=(1, 1))
    keep_index("test-1", [source.parent / "other.json"], build)
    source.unlink()
    keep_index("test-1", [source], build)
    assert build.built == 7
    keep_index("test-1", [source], build)
    assert build.built == 7


def test_one_path_by_two_ways_is_one_index(
    cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Builder()
    keep_index("test-1", [source], build)
    monkeypatch.chdir(source.parent)
    (source.parent / "link.json").symlink_to(source)
    keep_index("test-1", [Path("data.json")], build)
    keep_index("test-1", [Path("link.json")], build)
    assert build.built == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 4), min_size=0, max_size=3)), max_size=6
    )
)
def test_arrays_come_back_as_they_are(given_arrays: list[tuple[str, list[int]]]) -> None:
    arrays = {
        f"array {number}": np.arange(int(np.prod(shape))).reshape(shape).astype(kind)
        for number, (kind, shape) in enumerate(given_arrays)
    }
    missing = Path(f"/nowhere/{hash(str(given_arrays))}")
    for _ in range(2):
        found = keep_index("test-1", [missing], lambda: arrays)
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].flags.aligned
            np.testing.assert_array_equal(found[name], array)


def test_other_tools_read_it(cache: Path, source: Path) -> None:
    keep_index("test-1", [source], Builder())
    (path,) = cache.iterdir()
    with np.load(path, allow_pickle=False) as stored:
        assert stored["numbers"].tolist() == [0, 1, 2]


@given(st.lists(st.text()))
def test_texts_come_back(texts: list[str]) -> None:
    texts = [*texts, "\ud800 alone", "caf\udce9.jpg"]
    assert split_texts(join_texts("texts", texts), "texts") == texts


def test_no_texts_at_all() -> None:
    assert split_texts(join_texts("texts", []), "texts") == []


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"\x80\x04nonsense" * 50,
        lambda data: flip(data, data.index(b"\x02\0\0\0\0\0\0\0")),
        lambda data: flip(data, data.index(b"NUMPY")),
        lambda data: flip(data, data.index(b"descr")),
    ],
)
def test_a_damaged_index_is_built_again(cache: Path, source: Path, damage) -> None:  # type: ignore[no-untyped-def]
    build = Builder()
    keep_index("test-1", [source], build)
    (path,) = cache.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert keep_index("test-1", [source], build)["numbers"].tolist() == [0, 2, 4]
    assert keep_index("test-1", [source], build)["numbers"].tolist() == [0, 2, 4]
    assert build.built == 2


def test_objects_are_not_read_from_an_index(cache: Path, source: Path) -> None:
    build = Builder()
    keep_index("test-1", [source], build)
    (path,) = cache.iterdir()
    np.savez(path, numbers=np.array([{}], object))
    assert keep_index("test-1", [source], build)["numbers"].tolist() == [0, 2, 4]


def test_a_folder_that_cannot_be_written_is_not_used(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    build = Builder()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        monkeypatch.setenv("UNITSCOPE_CACHE", str(place))
        assert keep_index("test-1", [source], build)["numbers"][2] == 2 * build.built


def test_an_index_whose_building_fails_is_not_kept(cache: Path, source: Path) -> None:
    def fail() -> Index:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        keep_index("test-1", [source], fail)
    assert not cache.exists()


def test_the_oldest_used_are_removed(cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "LIMIT", 30_000)
    builders = [Builder(1000) for _ in range(4)]
    now = time.time()
    for number, build in enumerate(builders[:3]):
        keep_index(f"test-{number}", [source], build)
        (path,) = cache.glob(f"test-{number}-*")
        os.utime(path, (now - 100 + number,) * 2)
    keep_index("test-0", [source], builders[0])  # used again: now the youngest
    (cache / ".test-9.part").write_bytes(b"somebody is writing")
    (cache / ".test-8.part").write_bytes(b"nobody is")
    os.utime(cache / ".test-8.part", (now - 7200,) * 2)
    keep_index("test-3", [source], builders[3])
    assert sorted(path.name.partition("-")[2][:1] for path in cache.glob("test-*")) == ["0", "2", "3"]
    assert [path.name for path in cache.glob(".*")] == [".test-9.part"]
    monkeypatch.setattr(indexes, "LIMIT", 100)
    assert len(keep_index("test-4", [source], Builder(1000))["numbers"]) == 1000
    assert not list(cache.glob("test-*"))


def test_an_index_in_use_may_be_removed(cache: Path, source: Path) -> None:
    index = keep_index("test-1", [source], Builder(100_000))
    for path in cache.iterdir():
        path.unlink()
    assert index["numbers"].sum() == 99_999 * 50_000


def test_several_processes_build_the_same(cache: Path, source: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from unitscope.concepts.formats.indexes import keep_index\n"
        "build = lambda: {'numbers': np.arange(300_000)}\n"
        "for _ in range(8):\n"
        "    assert keep_index('test-1', [Path(sys.argv[1])], build)['numbers'].sum() == 44999850000\n"
        "    [path.unlink(missing_ok=True) for path in Path(sys.argv[2]).glob('*.npz')]\n"
    )
    command = [sys.executable, "-c", code, str(source), str(cache)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [(one.communicate()[1], one.returncode) for one in running] == [(b"", 0)] * 2
    assert not list(cache.glob(".*"))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UNITSCOPE_CACHE", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert find_cache() == tmp_path / ".cache" / "unitscope"
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared/cache")
    assert find_cache() == Path("/shared/cache/unitscope")
    monkeypatch.setenv("UNITSCOPE_CACHE", "/mine")
    assert find_cache() == Path("/mine")
