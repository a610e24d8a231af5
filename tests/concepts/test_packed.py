"""The packed cache: the same examples, decoded once, whole or not at all."""

import errno
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unitscope.concepts import cache_room
from unitscope.concepts import packed as module
from unitscope.concepts.derived import limit, source_digest
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import cache_name, measure_packed, open_packed, pack_source
from unitscope.concepts.vocabulary import Concept, ConceptSource, Example, Vocabulary
from unitscope.errors import RunError, SourceError, UsageError

FRAME = Frame((10, 12), (5, 6))


class Random:
    """Six random images with zero to two planes, some with void; counts how often it is read."""

    vocabulary = Vocabulary((Concept(3, "cat", "object"), Concept(60_000, "<i>leg</i>", "part")))
    name = "a/b c"

    def __init__(self, changed: int | None = None) -> None:
        self.reads = 0
        self.changed = changed

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int, /) -> Example:
        self.reads += 1
        random = np.random.default_rng(100 if index == self.changed else index)
        planes = random.choice(np.array([0, 3, 60_000], np.uint16), (index % 3, 20, 30))
        void = random.random((20, 30)) < 0.3 if index % 2 and index % 3 else None
        image = random.integers(0, 256, (20, 30, 3), np.uint8)
        return Example(f"k/{index}", image, planes, (3,) * (index == 4), void)


def list_left(folder: Path) -> list[Path]:
    """What a folder holds besides locks."""
    return [path for path in folder.iterdir() if path.suffix != ".lock"]


class Known(Random):
    """Says itself what it holds."""

    digest = "known"


class Killed(Random):
    """Stops in the middle of the packing, as a killed process does."""

    def __getitem__(self, index: int, /) -> Example:
        if index == 4:
            raise KeyboardInterrupt
        return super().__getitem__(index)


@pytest.mark.parametrize("frame", [FRAME, Frame((10, 12), (5, 6), "crop", 0.875)])
def test_packed_examples_are_the_framed_ones(tmp_path: Path, frame: Frame) -> None:
    source = Random()
    packed = pack_source(source, frame, tmp_path)
    assert isinstance(packed, ConceptSource)
    assert (packed.frame, packed.vocabulary, len(packed)) == (frame, source.vocabulary, 6)
    for index in range(6):
        wanted, found = frame.fit(source[index]), packed[index]
        assert (found.key, found.ids) == (wanted.key, wanted.ids)
        assert np.array_equal(found.image, wanted.image)
        assert np.array_equal(found.planes, wanted.planes)
        assert (found.void is None) == (wanted.void is None)
        assert wanted.void is None or np.array_equal(found.void, wanted.void)
    with pytest.raises(IndexError):
        packed[6]


def test_a_second_packing_decodes_nothing(tmp_path: Path) -> None:
    pack_source(Known(), FRAME, tmp_path)
    source = Known()
    pack_source(source, FRAME, tmp_path)
    assert source.reads == 0


def test_without_a_digest_the_ends_of_a_source_are_looked_at(tmp_path: Path) -> None:
    pack_source(Random(), FRAME, tmp_path)
    source = Random()
    pack_source(source, FRAME, tmp_path)
    assert source.reads == 2
    for change in (0, 5):
        other = Random(change)
        for made in (other, limit(other, 4)):
            assert np.array_equal(pack_source(made, FRAME, tmp_path)[1].image, FRAME.fit(made[1]).image)
        assert cache_name(other, FRAME) != cache_name(source, FRAME)
        assert cache_name(limit(other, 4), FRAME) != cache_name(limit(source, 4), FRAME)
        assert source_digest(other) == source_digest(source)


@pytest.mark.parametrize("wrap", [lambda source: source, lambda source: limit(source, 1)])
def test_a_picture_overwritten_in_place_is_packed_again(
    tmp_path: Path, wrap: Callable[[ConceptSource], ConceptSource]
) -> None:
    file = tmp_path / "pictures" / "a.bmp"
    file.parent.mkdir()
    digests = set()
    for second, color in enumerate((10, 200)):
        Image.new("RGB", (8, 6), (color,) * 3).save(file)
        os.utime(file, (second, second))
        source = wrap(open_folder(file.parent))
        assert (pack_source(source, FRAME, tmp_path / "cache")[0].image == color).all()
        assert (pack_source(source, FRAME, tmp_path / "cache")[0].image == color).all()
        digests.add(source_digest(source))
    assert len(digests) == 1
    assert len(list_left(tmp_path / "cache")) == 2


def test_the_digest_and_spec_are_those_of_the_source(tmp_path: Path) -> None:
    packed = pack_source(Random(), FRAME, tmp_path)
    assert source_digest(packed) == source_digest(Random())
    assert packed.folder.name == cache_name(Random(), FRAME)
    assert packed.folder.name.startswith("a_b_c-")


def test_another_frame_or_source_has_a_place_of_its_own(tmp_path: Path) -> None:
    frames = [FRAME, Frame((10, 12), (5, 7)), Frame((10, 12), (5, 6), resample="bicubic")]
    names = {cache_name(source, frame) for frame in frames for source in (Random(), limit(Random(), 2))}
    assert len(names) == 6


def test_an_interrupted_packing_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        pack_source(Killed(), FRAME, tmp_path)
    assert not list_left(tmp_path)


def test_what_killed_packings_left_is_cleared(tmp_path: Path) -> None:
    """At once where it is of the same cache, which this process has locked; else once it is old."""
    same = cache_name(Random(), FRAME)
    for age, name in ((0, f"{same}.new"), (3600, f"{same}.old"), (0, "other.new"), (3600, "other.old")):
        left = tmp_path / f".{name}.partial"
        left.mkdir()
        (left / "images.bin").write_bytes(b"half")
        for path in (left / "images.bin", left):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    packed = pack_source(Random(), FRAME, tmp_path)
    assert len(packed) == 6
    assert [path.name for path in tmp_path.glob(".*.partial")] == [".other.new.partial"]


@pytest.mark.parametrize("name", ["images.bin", "labels.bin", "index.json"])
def test_a_cache_that_lost_something_is_packed_again(tmp_path: Path, name: str) -> None:
    folder = pack_source(Random(), FRAME, tmp_path).folder
    (folder / name).write_bytes((folder / name).read_bytes()[:-3])
    with pytest.raises(SourceError, match=r"not whole|no packed cache"):
        open_packed(folder)
    packed = pack_source(Random(), FRAME, tmp_path)
    assert np.array_equal(packed[5].image, FRAME.fit(Random()[5]).image)


def test_damaged_labels_are_told(tmp_path: Path) -> None:
    packed = pack_source(Random(), FRAME, tmp_path)
    (packed.folder / "labels.bin").write_bytes(bytes((packed.folder / "labels.bin").stat().st_size))
    with pytest.raises(SourceError, match="the packed labels of k/2 are damaged"):
        open_packed(packed.folder)[2]


def test_a_folder_of_another_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pack_source(Random(), FRAME, tmp_path).folder
    monkeypatch.setattr(module, "VERSION", 99)
    with pytest.raises(SourceError, match="another version"):
        open_packed(folder)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_flush", fill)
    with pytest.raises(RunError, match="No space left on device"):
        pack_source(Random(), FRAME, tmp_path)
    assert not list_left(tmp_path)


def test_packed_sources_travel_to_other_processes(tmp_path: Path) -> None:
    packed = pack_source(Random(), FRAME, tmp_path)
    assert packed[1].planes.any()
    data = pickle.dumps(packed)
    assert len(data) < 1_000
    assert np.array_equal(pickle.loads(data)[1].image, packed[1].image)


def test_images_become_tensors_and_changes_do_not_reach_the_disk(tmp_path: Path) -> None:
    packed = pack_source(Random(), FRAME, tmp_path)
    torch.from_numpy(packed[0].image)[:] = 0
    assert open_packed(packed.folder)[0].image.any()


def test_threads_change_no_byte(tmp_path: Path) -> None:
    folders = [pack_source(Random(), FRAME, tmp_path / str(n), threads=n).folder for n in (1, 2, 5)]
    for name in ("images.bin", "labels.bin", "index.json"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1


def test_of_processes_that_want_the_same_one_packs_and_others_wait(tmp_path: Path) -> None:
    source = Known()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: pack_source(source, FRAME, tmp_path).folder, range(4)))
    assert len(set(found)) == 1
    assert source.reads == 7  # the first one twice: it tells how much room is needed


def test_what_was_not_used_for_long_makes_room(tmp_path: Path) -> None:
    need = measure_packed(Random(), FRAME)
    others = [Frame((10, 12), (5, 6), resample=way) for way in ("bicubic", "nearest")]
    old, used = (pack_source(Random(), frame, tmp_path).folder for frame in others)
    opened = open_packed(old)
    os.utime(old / "index.json", (1, 1))
    held = sum(path.stat().st_size for path in old.iterdir())
    third = pack_source(Random(), FRAME, tmp_path, limit=need + 1.5 * held)
    assert not old.exists()
    assert used.exists()
    assert third.folder.exists()
    assert opened[1].image.any()  # what is open stays


def test_a_source_larger_than_the_cache_is_told_before_the_work(tmp_path: Path) -> None:
    source = Known()
    with pytest.raises(UsageError, match=r"packing takes about 0\.\d+ MB, and the cache may hold 0.0001 MB"):
        pack_source(source, FRAME, tmp_path, limit=100.0)
    assert source.reads == 1
    assert not list_left(tmp_path)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_cache_that_may_hold_nothing_is_refused(tmp_path: Path, limit: float) -> None:
    pack_source(Random(), FRAME, tmp_path)
    with pytest.raises(UsageError, match=r"a cache of at most .* bytes holds nothing"):
        pack_source(Random(), FRAME, tmp_path, limit=limit)


def test_caches_in_use_are_not_deleted(tmp_path: Path) -> None:
    pack_source(Random(), FRAME, tmp_path)
    need = measure_packed(Random(), FRAME)
    with pytest.raises(RunError, match="were used within ten minutes"):
        pack_source(Random(), Frame((10, 12), (5, 6), resample="nearest"), tmp_path, limit=1.2 * need)


def test_a_disk_without_room_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(cache_room.shutil, "disk_usage", lambda _: usage(1000, 990, 10))
    with pytest.raises(RunError, match="the disk of"):
        pack_source(Random(), FRAME, tmp_path)
    assert not list_left(tmp_path)
