"""Does a class get likelier where a unit is high? The correlation of peaks with probabilities."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from tqdm import tqdm

from unitscope.errors import NetworkError
from unitscope.interventions.ablation import Trial, read_images
from unitscope.interventions.importance import Importance
from unitscope.interventions.linear_head import read_logits
from unitscope.networks.network import Network, spread
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.networks.unit_maps import read_units

_BATCH = 16


def correlate_peaks(network: Network, layer: str, trial: Trial) -> Float64[np.ndarray, "classes unit"]:
    """Pearson's correlation over images of a unit's peak with a class's probability (paper B, SI).

    The peak is the largest value of the unit's map, the probability the softmax over the logits. One pass; 0
    where a unit or a class is the same in all images. Raises `NetworkError` where there are no logits.
    """
    seen: list[Tensor] = []

    def note(raw: Tensor) -> Tensor:
        seen.append(read_units(raw, network.prefix_tokens, layer).amax((2, 3)).double())
        return raw

    sums: _Sums | None = None
    with (
        evaluation(network.module),
        hook_layer(network, layer, note),
        torch.no_grad(),
        tqdm(total=len(trial), desc=f"peaks of {layer}", unit="image", disable=None) as bar,
    ):
        for targets, batch in read_images(network, trial, _BATCH):
            logits = read_logits(network.module(*spread(batch)))
            peaks, likely = seen.pop().cpu().numpy(), logits.double().softmax(1).cpu().numpy()
            sums = sums or _Sums(likely[0], peaks[0])
            sums.update(likely, peaks)
            bar.update(len(targets))
    if sums is None:
        raise NetworkError("there are no images to correlate over; give a source with images")
    return sums.correlation()


class _Sums:
    """Sums of products of two sets of columns, about an origin near the means, against cancellation."""

    def __init__(self, one: Float64[np.ndarray, "a"], other: Float64[np.ndarray, "b"]) -> None:
        self.origin = np.concatenate([one, other])
        self.split, self.count = len(one), 0
        self.sums = np.zeros_like(self.origin)
        self.squares = np.zeros_like(self.origin)
        self.products = np.zeros((len(one), len(other)))

    def update(self, one: Float64[np.ndarray, "n a"], other: Float64[np.ndarray, "n b"]) -> None:
        both = np.concatenate([one, other], 1) - self.origin
        self.count += len(both)
        self.sums += both.sum(0)
        self.squares += (both**2).sum(0)
        self.products += both[:, : self.split].T @ both[:, self.split :]

    def correlation(self) -> Float64[np.ndarray, "a b"]:
        mean = self.sums / self.count
        spread = np.sqrt(np.maximum(self.squares / self.count - mean**2, 0))
        # What is left of rounding is no spread.
        spread[spread < 1e-12 * (1 + np.abs(self.origin))] = 0
        one, other = slice(None, self.split), slice(self.split, None)
        joint = self.products / self.count - mean[one, None] * mean[None, other]
        scale = spread[one, None] * spread[None, other]
        found = np.divide(joint, scale, out=np.zeros_like(joint), where=scale > 0)
        return np.asarray(found.clip(-1, 1))


@dataclass(frozen=True)
class Signs:
    """The share of (class, unit) pairs whose correlation is positive: of those that matter, and of all."""

    important: float
    important_pairs: int
    every: float
    pairs: int


def count_signs(correlation: Float64[np.ndarray, "classes unit"], importance: Importance) -> Signs:
    """How often a class gets likelier where a unit that matters to it is high (paper B, SI)."""
    every = correlation[importance.targets]
    important = correlation[importance.matters]
    return Signs(float((important > 0).mean()), important.size, float((every > 0).mean()), every.size)
