"""Workers on a cluster of two machines, both of them here: what Ray itself offers for tests."""

import os
import pickle
import signal

import pytest

from machines import two_machines
from numbered import Numbered, read_numbers
from unitscope.errors import RunError, SourceError, UsageError
from unitscope.executors import cluster
from unitscope.executors.cluster import Actor, Cluster, _connected, _take


def test_two_machines_share_numbers_and_one_may_go(tmp_path):
    def handle(number, frame):
        raise AssertionError(number)

    with two_machines() as machines:
        signal.signal(signal.SIGTERM, handle)
        made = []
        for number in Cluster(machines.address).run(Numbered(tmp_path), range(12), lambda: len(made)):
            made.append(number)
            if len(made) == 3:
                machines.remove_node(machines.list_all_nodes()[1], allow_graceful=False)
            assert signal.getsignal(signal.SIGTERM) is handle
        assert sorted(made) == list(range(12))
        assert sorted(int(row[0]) for row in read_numbers(tmp_path)) == list(range(12))
        with _connected(machines.address):  # once for all of these
            apart = tmp_path / "apart"
            (apart / "elsewhere").mkdir(parents=True)
            unseen = Numbered(apart, driver=os.getpid())
            assert sorted(Cluster(machines.address, 1).run(unseen, range(2), lambda: 0)) == [0, 1]
            assert [row[0] for row in read_numbers(apart)] == ["0", "1"]
            assert read_numbers(apart / "elsewhere") == []
            with pytest.raises(SourceError, match="image 1 is torn"):
                list(Cluster(machines.address).run(Numbered(apart, "fails at 1"), range(2), lambda: 0))
            with pytest.raises(UsageError, match="a worker needs 2 CPU, and no machine of the cluster has"):
                list(Cluster(machines.address).run(Numbered(apart, threads=2), [3], lambda: 0))
    assert list(tmp_path.rglob("*.part")) == []


def test_an_actor_that_does_not_see_the_folder_sends_what_it_made(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    job = Numbered(tmp_path, driver=os.getpid())
    seen, unseen = Actor(job, "elsewhere"), Actor(job, "not there")
    assert seen.make(1, pickle.dumps(5)) is None
    content = unseen.make(2, pickle.dumps(5))
    assert content.decode().split()[:3] == ["2", "5", "cpu"]
    _take(job.path(2), content)
    assert [row[0] for row in read_numbers(tmp_path)] == ["1", "2"]
    room = unseen.job.folder
    assert list(room.iterdir()) == []
    seen.leave(), unseen.leave()
    assert not room.exists()
    assert isinstance(Actor(Numbered(tmp_path, "closed"), "elsewhere").make(3, pickle.dumps(5)), SourceError)


def test_a_file_that_is_not_seen_here_is_waited_for_and_then_told(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.15)
    with pytest.raises(RunError, match=r"001\.txt was made by another machine and is not seen here"):
        _take(Numbered(tmp_path).path(1), None)
    with pytest.raises(RunError, match=r"cannot write .*: No such file or directory; free some space"):
        _take(tmp_path / "none" / "1.txt", b"content")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1: .*; start one with ray start --head"),
        ("ray://127.0.0.1:1", "no Ray cluster answers at ray://127.0.0.1:1: "),
        ("127.0.0.1:99999", "no Ray cluster answers"),
        ("127.0.0.1", "'127.0.0.1' is no address of a Ray cluster; give HOST:PORT, auto or local"),
        ("locl", "'locl' is no address"),
    ],
)
def test_an_address_where_nothing_answers_is_refused_at_once(address, said):
    with pytest.raises(UsageError, match=said):
        Cluster(address)


def test_without_a_cluster_or_without_ray_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="ray, which spreads work over machines, is not installed"):
        Cluster("auto")
