"""The torch twin of `kernels.tallies.tally_units`, for masks and labels on a device: the same whole numbers.

Along all rows of all planes the segments of labels lie one behind the other, so that those that a run of a
mask meets are found by two searches, and every pair of a run and a segment adds what both share.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.evidence import Tally
from unitscope.statistics.kernels import tallies
from unitscope.statistics.quantiles import Masks


@dataclass(frozen=True, eq=False)
class DeviceLabels(LabelIndex):
    """Annotations that lie on a device as well."""

    device: str

    def tally(self, masks: Masks, half: np.ndarray, rule: int) -> Tally:
        """What `tallies.tally_units` counts for the masks of some units, by half[image]."""
        unit = torch.repeat_interleave(self._send(masks.counts))
        of_run = torch.repeat_interleave(self._send(masks.size))
        image, runs = self._send(masks.image), self._send(masks.runs)
        pixels = torch.zeros(len(image), dtype=torch.int64, device=self.device)
        pixels.index_add_(0, of_run, runs[:, 2] - runs[:, 1])
        words = self.vocabulary
        many, kinds = words.size + 1, len(words.categories)
        slot = unit * 2 + self._send(half)[image]
        counts = torch.zeros(len(masks.counts) * 2 * many, dtype=torch.int64, device=self.device)
        of_mask, identity, shared = self._meet(runs, of_run, image)
        counts.index_add_(0, slot[of_mask] * many + identity, shared)
        valid = pixels.index_add(0, of_mask, -shared * (identity == words.size))
        tagged, scalar = self._meet_scalars(image, valid)
        counts.index_add_(0, slot[tagged] * many + scalar, valid[tagged])
        bits = torch.full_like(valid, -1)
        if rule == tallies.CATEGORY:
            bits = self._image_bits[image]
        elif rule == tallies.TOUCHED:
            bits = self._join_bits(torch.cat([of_mask, tagged]), torch.cat([identity, scalar]), len(image))
        entering = (bits[:, None] >> torch.arange(kinds, device=self.device)) & 1
        active = torch.zeros((len(masks.counts) * 2, kinds), dtype=torch.int64, device=self.device)
        active.index_add_(0, slot, entering * valid[:, None])
        found = counts.reshape(-1, 2, many)
        found[:, :, 0] = found[:, :, -1] = 0
        return Tally(
            found.cpu().numpy(),
            active.reshape(-1, 2, kinds).cpu().numpy(),
            valid.cpu().numpy(),
            bits.cpu().numpy().view(np.uint64),
        )

    def _meet(self, runs: Tensor, of_run: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For every run and segment that share pixels: the mask, the segment's id, and how many."""
        height, width = self.annotations.mask_size
        first, stop = self._planes[image[of_run]], self._planes[image[of_run] + 1]
        pair, step = _count_up(stop - first)
        start = ((first[pair] + step) * height + runs[pair, 0]) * width
        begin, end = start + runs[pair, 1], start + runs[pair, 2]
        low = torch.searchsorted(self._ends, begin, right=True)
        high = torch.searchsorted(self._ends, end - 1, right=True)
        met, more = _count_up(high - low + 1)
        segment = low[met] + more
        before = torch.where(segment > 0, self._ends[(segment - 1).clamp(min=0)], 0)
        shared = self._ends[segment].minimum(end[met]) - before.maximum(begin[met])
        return of_run[pair[met]], self._ids[segment], shared

    def _meet_scalars(self, image: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """The masks that are not all void, with every id of their whole image."""
        first, stop = self._scalar_starts[image], self._scalar_starts[image + 1]
        mask, step = _count_up((stop - first) * (valid > 0))
        return mask, self._scalars[first[mask] + step]

    def _join_bits(self, of_mask: Tensor, identity: Tensor, masks: int) -> Tensor:
        """By mask the bits of all ids that it meets."""
        kinds = len(self.vocabulary.categories)
        met = torch.zeros((masks, kinds), dtype=torch.bool, device=self.device)
        named = self._id_bits[identity] != 0
        met[of_mask[named], self._id_places[identity[named]]] = True
        weights = torch.tensor(1, device=self.device) << torch.arange(kinds, device=self.device)
        return (met * weights).sum(1)

    def _send(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.int64)).to(self.device)

    @cached_property
    def _planes(self) -> Tensor:
        return self._send(np.asarray(self.arrays[0]))

    @cached_property
    def _ends(self) -> Tensor:
        """Where segments end, counted along all rows of all planes."""
        starts, ends = (np.asarray(self.arrays[k]) for k in (1, 2))
        row = torch.repeat_interleave(self._send(np.diff(starts.astype(np.int64), append=len(ends))))
        return self._send(ends).add_(row.mul_(self.annotations.mask_size[1]))

    @cached_property
    def _ids(self) -> Tensor:
        # In four bytes, which there are many of.
        ids = np.asarray(self.arrays[3]).astype(np.int32)
        return torch.from_numpy(ids).to(self.device)

    @cached_property
    def _scalar_starts(self) -> Tensor:
        return self._send(np.asarray(self.arrays[4]))

    @cached_property
    def _scalars(self) -> Tensor:
        return self._send(np.asarray(self.arrays[5]))

    @cached_property
    def _image_bits(self) -> Tensor:
        return self._send(np.asarray(self.arrays[6]).view(np.int64))

    @cached_property
    def _id_bits(self) -> Tensor:
        return self._send(np.asarray(self.arrays[7]).view(np.int64))

    @cached_property
    def _id_places(self) -> Tensor:
        return self._send(np.append(np.asarray(self.arrays[8]), 0))


def _count_up(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Every place so often as its count says, and which time it is, from 0.

    >>> _count_up(torch.tensor([2, 0, 1]))
    (tensor([0, 0, 2]), tensor([0, 1, 0]))
    """
    place = torch.repeat_interleave(counts)
    starts = counts.cumsum(0) - counts
    return place, torch.arange(len(place), device=counts.device) - starts[place]
