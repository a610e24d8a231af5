"""The cells of a layer as rows: places of its maps, patches of its tokens, read in blocks of images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from unitscope.dissection.activations import Activations
from unitscope.errors import writing
from unitscope.files import whole_file
from unitscope.networks.borrowing import placed
from unitscope.networks.tokens import Size
from unitscope.networks.trace import tap
from unitscope.progress import follow
from unitscope.statistics.scan import load_batches, read_maps
from unitscope.statistics.threads import open_pool, open_threads

BLOCK = 2**25
"""Bytes of cells that are read, and kept in a file, at a time."""

_FREE = "free some space and go on with --resume"


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a layer on the images of a source; `chosen` of every image, by lot if that is not all.

    They are read in turns. If all fit into half of the machine's memory, every turn has all of them; else
    a turn has the blocks that fit, drawn at random, and as many turns as `rounds` have every cell once. In
    `folder` the cells of a turn are kept while it lasts, so that whoever goes on need not read them again.
    """

    found: Activations
    layer: str
    chosen: int
    seed: int
    folder: Path | None = None

    @property
    def units(self) -> int:
        """How many units a cell has."""
        return self.found.plan.tails[self.layer].units

    @property
    def grid(self) -> Size:
        """Rows and columns of cells in an image."""
        return self.found.plan.tails[self.layer].raw_size

    def __len__(self) -> int:
        return len(self.found) * self.chosen

    @cached_property
    def images_a_block(self) -> int:
        """How many images a block has: whole batches of them."""
        batch = self.found.plan.batch_size
        return batch * max(1, BLOCK // (batch * self._bytes_an_image))

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return -(-len(self.found) // self.images_a_block)

    @cached_property
    def blocks_a_turn(self) -> int:
        """How many blocks are in memory together."""
        room = self.found.machine.memory // 2
        if len(self.found) * self._bytes_an_image <= room:
            return self.blocks
        return max(1, room // (self.images_a_block * self._bytes_an_image))

    @property
    def rounds(self) -> int:
        """How many turns have all cells once."""
        return -(-self.blocks // self.blocks_a_turn)

    @property
    def _bytes_an_image(self) -> int:
        return 4 * self.chosen * self.units

    def span(self, block: int) -> range:
        """The images of a block."""
        start = block * self.images_a_block
        return range(start, min(start + self.images_a_block, len(self.found)))

    def list_blocks(self, turn: int) -> list[int]:
        """The blocks of a turn, in their order."""
        if self.rounds == 1:
            return list(range(self.blocks))
        again, part = divmod(turn, self.rounds)
        drawn = np.random.default_rng([self.seed, again]).permutation(self.blocks)
        return sorted(drawn[part * self.blocks_a_turn :][: self.blocks_a_turn].tolist())

    def count(self, turn: int) -> int:
        """How many cells a turn has."""
        return sum(len(self.span(block)) for block in self.list_blocks(turn)) * self.chosen

    def choose(self, image: int) -> Int64[np.ndarray, "chosen"]:
        """Which cells of an image are taken, as one reads them."""
        places = self.grid[0] * self.grid[1]
        if self.chosen == places:
            return np.arange(places)
        drawn = np.random.default_rng([self.seed, 1, image]).permutation(places)
        return np.sort(drawn[: self.chosen])

    def load(self, turn: int) -> Float32[Tensor, "cell unit"]:
        """The cells of a turn, image after image.

        Raises `SourceError`, `ActivationError` and `NetworkError` as a pass does, `RunError` where
        they cannot be kept.
        """
        turn = turn if self.rounds > 1 else 0
        blocks = self.list_blocks(turn)
        ends = list(accumulate(len(self.span(block)) * self.chosen for block in blocks))
        rows = np.empty((ends[-1], self.units), np.float32)
        rooms = {block: rows[start:end] for block, start, end in zip(blocks, [0, *ends], ends, strict=False)}
        self._drop(turn)
        missing = [block for block, room in rooms.items() if not self._find(turn, block, room)]
        for block, cells in self._read(missing, sum(len(self.span(block)) for block in blocks)):
            rooms[block][:] = cells
            self._keep(turn, block, cells)
        return torch.from_numpy(rows)

    def _read(
        self, blocks: Sequence[int], images: int
    ) -> Iterator[tuple[int, Float32[np.ndarray, "cell unit"]]]:
        """The cells of blocks, which end those of so many images."""
        if not blocks:
            return
        found = self.found
        network, source, plan, machine = found.network, found.source, found.plan, found.machine
        with (
            placed(network, machine.device),
            tap(network, [self.layer], checked=True) as read,
            open_threads(machine.threads) as threads,
            open_pool(threads.count) as loaders,
            follow(images, "read", done=images - sum(len(self.span(block)) for block in blocks)) as work,
        ):
            for block in blocks:
                rows: list[Float32[np.ndarray, "cell unit"]] = []
                for batch in load_batches(source, plan, self.span(block), loaders, 2 * plan.batch_size):
                    for _, maps in read_maps(network, read, plan, batch, machine):
                        cells = maps.permute(0, 2, 3, 1).flatten(1, 2).cpu().numpy()
                        rows += [one[self.choose(batch.first + place)] for place, one in enumerate(cells)]
                    work.update(len(batch.keys))
                yield block, np.concatenate(rows)

    def _path(self, turn: int, block: int) -> Path | None:
        return None if self.folder is None else self.folder / f"cells-{turn}-{block}.npy"

    def _find(self, turn: int, block: int, room: Float32[np.ndarray, "cell unit"]) -> bool:
        """Whether the cells of a block were kept; they are put into `room`."""
        path = self._path(turn, block)
        if path is None or not path.is_file():
            return False
        try:
            kept = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False
        if kept.shape != room.shape or kept.dtype != room.dtype:
            return False
        room[:] = kept
        return True

    def _keep(self, turn: int, block: int, cells: Float32[np.ndarray, "cell unit"]) -> None:
        path = self._path(turn, block)
        if path is not None:
            with whole_file(path, _FREE) as unfinished, unfinished.open("wb") as file:
                np.save(file, cells)

    def _drop(self, turn: int) -> None:
        """Removes the cells of other turns."""
        if self.folder is not None:
            with writing(self.folder, _FREE):
                for path in self.folder.glob("cells-*.npy"):
                    if not path.name.startswith(f"cells-{turn}-"):
                        path.unlink()
