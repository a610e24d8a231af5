"""Long work is told: a bar on a terminal, lines elsewhere, and whoever asked; each of it once."""

import io
import logging
import os
import re
import sys
from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from unitscope import progress
from unitscope.progress import BYTES, Progress, follow, follow_each, on_progress, silence, spell_time


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress, "_clock", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work_for(clock, seconds, steps, **asked):
    with follow(steps, "scan", **asked) as work:
        for _ in range(steps):
            clock.now += seconds / steps
            work.update()


def test_short_work_is_not_told(clock, caplog, capsys):
    caplog.set_level(logging.INFO, "unitscope")
    work_for(clock, 29, 29)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


def test_long_work_is_told_every_thirty_seconds_and_at_its_end(clock, caplog):
    caplog.set_level(logging.INFO, "unitscope")
    work_for(clock, 128, 1024)
    lines = [record.message for record in caplog.records]
    assert [re.match(r"scan: (\d+)", line)[1] for line in lines[:3]] == ["240", "480", "720"]
    assert [" of 1,024 images, 8 a second, until " in line for line in lines] == [
        True,
        True,
        True,
        True,
        False,
    ]
    assert lines[4] == "scan: 1,024 images, 8 a second, in 2:08"


def test_nobody_hears_the_library_unless_they_listen(clock, capsys):
    work_for(clock, 100, 10)
    assert capsys.readouterr() == ("", "")
    assert any(isinstance(one, logging.NullHandler) for one in progress.LOGGER.handlers)
    assert progress.LOGGER.level == logging.NOTSET


def test_on_a_terminal_there_is_a_bar_and_no_line(clock, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "unitscope")
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "BARS", 0)
    with follow(4, "scan", done=1) as work:
        clock.now += 100
        work.note = "loss 0.5"
        work.update(2)
        work.update(1)
    shown = sys.stderr.getvalue()
    assert re.search(r"scan: 100%.*4/4 .* images/s, loss 0.5", shown)
    assert not caplog.records


def test_a_terminal_that_does_not_know_its_size_shows_a_bar(monkeypatch):
    reader, writer = os.openpty()  # as `docker run --tty` and `script` may open one
    assert os.get_terminal_size(writer).columns == 0
    with os.fdopen(writer, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        patch.setattr(progress, "BARS", 0)
        with follow(4, "scan") as work:
            work.update(4)
    seen = os.read(reader, 4096).decode()
    os.close(reader)
    assert "scan: 100%" in seen
    assert "4/4" in seen


def test_a_bar_that_would_only_flash_is_not_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(follow_each(iter("abc"), "letters", "letters", total=3)) == ["a", "b", "c"]
    assert sys.stderr.getvalue() == ""


def test_without_any_stderr_work_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert sum(follow_each([1, 2], "adding", "numbers")) == 3


def test_whoever_asked_is_told_ten_times_a_second_at_most_and_at_the_end(clock):
    told = []
    with on_progress(told.append):
        work_for(clock, 1, 1000)
    assert 9 <= len(told) <= 12
    assert all(b.seconds - a.seconds > 0.0999 for a, b in pairwise(told[:-1]))
    last = told[-1]
    assert (last.what, last.done, last.total, last.unit, last.ends) == ("scan", 1000, 1000, "images", None)
    assert last.rate == pytest.approx(1000)
    with pytest.raises(FrozenInstanceError):
        last.done = 3


def test_work_that_was_partly_done_before_has_the_rate_of_the_rest(clock):
    told = []
    with on_progress(told.append), follow(100, "scan", done=60) as work:
        clock.now += 10
        work.update(20)
    assert told[0].rate == 2
    assert abs(told[0].ends - datetime.now() - timedelta(seconds=10)) < timedelta(seconds=5)


def test_an_error_in_what_is_told_ends_the_work():
    def refuse(seen):
        raise LookupError(seen.what)

    with pytest.raises(LookupError, match="adding"), on_progress(refuse):
        list(follow_each([1, 2], "adding", "numbers"))


def test_work_that_fails_is_not_told_as_done():
    told = []
    with pytest.raises(ValueError, match="no"), on_progress(told.append), follow(3, "adding"):
        raise ValueError("no")
    assert not told


def test_the_inner_of_two_is_told_and_the_outer_again_after_it():
    outer, inner = [], []
    with on_progress(outer.append):
        with on_progress(inner.append):
            list(follow_each("a", "inner", "letters"))
        list(follow_each("a", "outer", "letters"))
    list(follow_each("a", "nobody", "letters"))
    assert ({one.what for one in inner}, {one.what for one in outer}) == ({"inner"}, {"outer"})


def test_a_trial_is_silent(clock, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "unitscope")
    monkeypatch.setattr(sys, "stderr", Terminal())
    told = []
    with on_progress(told.append), silence():
        work_for(clock, 100, 10)
    assert not told
    assert not caplog.records
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (
            Progress("get", 1_500_000, 3_000_000_000, BYTES, 1.0, 1e6, None),
            "get: 1.5 MB of 3.0 GB, 1.0 MB a second",
        ),
        (Progress("scan", 0, 5, "images", 60.0, 0.0, None), "scan: 0 of 5 images, 0 a second"),
        (
            Progress("scan", 5, 5, "images", 3700.0, 1234.5, None),
            "scan: 5 images, 1,234 a second, in 1:01:40",
        ),
        (Progress("scan", 1, 5, "images", 50.0, 0.02, None), "scan: 1 of 5 images, 0.02 a second"),
    ],
)
def test_lines(seen, line):
    assert str(seen) == line


def test_a_moment_has_its_day_unless_that_is_today():
    now = datetime.now()
    assert spell_time(now) == f"{now:%H:%M}"
    assert spell_time(datetime(2020, 3, 1, 4, 5)) == "Mar 1 04:05"
