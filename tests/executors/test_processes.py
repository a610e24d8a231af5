import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

from numbered import Numbered, read_numbers
from unitscope.errors import RunError, SourceError
from unitscope.executors.processes import Processes


def lives(process):
    with suppress(OSError):
        return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]
    return False


def test_every_number_is_made_once_by_whoever_is_free(tmp_path):
    asked = count(1)
    made = list(Processes(2).run(Numbered(tmp_path, device="cuda"), range(3, 9), lambda: next(asked)))
    assert sorted(made) == list(range(3, 9))
    rows = read_numbers(tmp_path)
    assert [row[0] for row in rows] == list("345678")
    assert sorted(int(row[1]) for row in rows) == [1, 2, 3, 4, 5, 6]
    assert {row[2] for row in rows} <= {"cuda:0", "cuda:1"}
    assert not any(lives(row[3]) for row in rows)
    assert list(Processes(2).run(Numbered(tmp_path), [], lambda: 0)) == []


def test_a_worker_that_dies_costs_its_number_which_another_makes(tmp_path):
    made = list(Processes(2).run(Numbered(tmp_path, "dies once at 1"), range(5), lambda: 0))
    assert sorted(made) == list(range(5))
    assert [row[0] for row in read_numbers(tmp_path)] == list("01234")


def test_a_number_over_which_three_workers_died_is_named(tmp_path):
    job = Numbered(tmp_path, "dies at 1")
    with pytest.raises(RunError, match=r"3 workers died over .*001\.txt \(exit status -9\); .*--resume"):
        list(Processes(1).run(job, range(3), lambda: 0))


@pytest.mark.parametrize(
    ("trouble", "message"), [("fails at 1", "image 1 is torn"), ("closed", "it is closed")]
)
def test_what_the_work_raises_is_raised_here_and_tells_where_it_was(trouble, message, tmp_path):
    with pytest.raises(SourceError, match=message) as caught:
        list(Processes(2).run(Numbered(tmp_path, trouble), range(4), lambda: 0))
    assert "in a worker" in caught.value.__notes__[0]
    assert not any(lives(row[3]) for row in read_numbers(tmp_path))


def test_an_error_that_cannot_be_sent_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="OddError: odd"):
        list(Processes(1).run(Numbered(tmp_path, "is odd at 0"), range(1), lambda: 0))


def test_workers_end_with_the_generator(tmp_path):
    with closing(Processes(2).run(Numbered(tmp_path, "waits at 1"), range(2), lambda: 0)) as numbers:
        assert next(numbers) == 0
    assert not lives(read_numbers(tmp_path)[0][3])


def test_workers_end_with_the_process_that_started_them_even_when_that_is_killed(tmp_path):
    # A script without `if __name__ == "__main__"`.
    program = f"""
from pathlib import Path
from numbered import Numbered
from unitscope.executors.processes import Processes
for number in Processes(2).run(Numbered(Path({str(tmp_path)!r}), "waits at 3"), range(5), lambda: 0):
    print(number, flush=True)
"""
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path}, stdout=-1
    ) as driver:
        for _ in range(4):
            driver.stdout.readline()
        workers = {row[3] for row in read_numbers(tmp_path)}
        assert all(map(lives, workers))
        os.kill(driver.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while any(map(lives, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(lives, workers))
