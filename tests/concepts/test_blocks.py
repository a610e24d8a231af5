"""Things made several at a time."""

from concurrent.futures import ThreadPoolExecutor

from unitscope.concepts.blocks import Blocks


def test_a_block_is_made_once_while_it_is_remembered():
    made = []
    blocks = Blocks(4, lambda start: made.append(start) or [start + k for k in range(4)], keep=2)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(blocks.__getitem__, list(range(8)) * 20)) == list(range(8)) * 20
    assert sorted(made) == [0, 4]


def test_the_oldest_block_is_forgotten_first():
    made = []
    blocks = Blocks(1, lambda start: made.append(start) or [start], keep=2)
    assert [blocks[i] for i in (0, 1, 0, 2, 0, 1)] == [0, 1, 0, 2, 0, 1]
    assert made == [0, 1, 2, 1]
