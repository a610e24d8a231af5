"""Arrays by number, from workers: files that are whole, handed back in order."""

import tempfile

import numpy as np
import pytest

from machines import SentAway
from unitscope.errors import RunError
from unitscope.executors.calls import call_workers, read_arrays
from unitscope.files import create_arrays


def prepare(device, first):
    """What a worker of these tests is asked for."""
    return lambda number: {"square": np.array((first + number) ** 2), device: np.empty((0, 3), bool)}


def ask(executor, count=4):
    return call_workers(executor, f"{__name__}:prepare", {"first": 3}, count, "cpu", 1)


def test_arrays_come_in_the_order_of_numbers_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    away = SentAway()
    found = list(ask(away))
    assert away.numbers == [3, 2, 1, 0]
    assert [one["square"].item() for one in found] == [9, 16, 25, 36]
    assert found[0]["cpu"].shape == (0, 3)
    assert list(ask(SentAway(), 0)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path):
    create_arrays(tmp_path / "0", {"a": np.arange(6).reshape(2, 3).T}, "free some space")
    assert (read_arrays(tmp_path / "0")["a"] == np.arange(6).reshape(2, 3).T).all()
    create_arrays(tmp_path / "0", {"a": np.zeros(3)}, "free some space")  # one that is there stays
    assert read_arrays(tmp_path / "0")["a"].shape == (3, 2)
    with pytest.raises(RunError, match=r"cannot write .*gone/0: .*; free some space"):
        create_arrays(tmp_path / "gone" / "0", {"a": np.zeros(3)}, "free some space")
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_what_cannot_be_read_or_made_is_told_in_a_line(tmp_path, monkeypatch):
    (tmp_path / "0").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"cannot read .*/0, which a worker wrote: .*; try again"):
        read_arrays(tmp_path / "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(RunError, match=r"cannot write temporary files: .*TMPDIR"):
        list(ask(SentAway()))
