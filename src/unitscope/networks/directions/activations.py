"""What makes latents of what the encoder gives, as values: rectifiers, the k largest, thresholds, gates.

All of them keep what is not a number, so that nobody takes it for a latent that is off.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

Latents = Float[Tensor, "cell latent"]


@dataclass(frozen=True)
class Linear:
    """z = h."""

    def __call__(self, h: Latents) -> Latents:
        return h


@dataclass(frozen=True)
class Relu:
    """z = max(h, 0)."""

    def __call__(self, h: Latents) -> Latents:
        return h.relu()


@dataclass(frozen=True)
class TanhRelu:
    """z = tanh(max(h, 0))."""

    def __call__(self, h: Latents) -> Latents:
        return h.relu().tanh()


@dataclass(frozen=True)
class TopK:
    """The k largest h of a cell, the others 0; of equal ones the lowest latents. With `relu` only those > 0.

    Gao et al., Scaling and evaluating sparse autoencoders, 2024, section 2.3.

    >>> TopK(2, relu=True)(torch.tensor([[3.0, 1.0, 3.0, 3.0], [-1.0, -2.0, 5.0, -3.0]]))
    tensor([[3., 0., 3., 0.],
            [0., 0., 5., 0.]])
    """

    k: int
    relu: bool

    def __call__(self, h: Latents) -> Latents:
        if self.k >= h.shape[1]:
            return h.relu() if self.relu else h
        values, places, crowded = self.pick(h)
        kept = torch.zeros_like(h).scatter_(1, places, values)
        if crowded is not None:
            kept[crowded] = self.keep_first(h[crowded])
        return kept

    def pick(
        self, h: Latents
    ) -> tuple[Float32[Tensor, "cell k"], Int64[Tensor, "cell k"], Bool[Tensor, "cell"] | None]:
        """The latents of every cell that are kept, and their places, where there are more than k.

        And the cells where others are as large as the least of these, whose latents `keep_first` has; None
        where there are none.
        """
        # One more than is kept, which tells where several are as large as the smallest that is kept.
        largest, places = h.topk(self.k + 1, dim=1, sorted=True)
        values, places = largest[:, : self.k], places[:, : self.k]
        crowded = largest[:, self.k - 1] == largest[:, self.k]
        if self.relu:
            values, crowded = values.relu(), crowded & (largest[:, self.k] > 0)
        return values, places, crowded if crowded.any() else None

    def keep_first(self, h: Latents) -> Latents:
        """The latents of cells where several equal the least that is kept: the first of them are kept."""
        least = h.topk(self.k, dim=1, sorted=True).values[:, -1:]
        equal = h == least
        room = self.k - (h > least).sum(1, keepdim=True)
        kept = h.masked_fill((h < least) | (equal & (equal.cumsum(1) > room)), 0)
        return kept.relu() if self.relu else kept


@dataclass(frozen=True, eq=False)
class Threshold:
    """z = h where h > `values`, or h >= `values` where it is not `strict`; else 0.

    >>> Threshold(torch.tensor([1.0, 1.0]), strict=True)(torch.tensor([[1.0, 1.5]]))
    tensor([[0.0000, 1.5000]])
    """

    values: Float32[Tensor, "latent"]
    strict: bool

    def __call__(self, h: Latents) -> Latents:
        return h.masked_fill(h <= self.values if self.strict else h < self.values, 0)


@dataclass(frozen=True, eq=False)
class Gated:
    """z = a(h * scale + magnitude) where h + gate > 0; else 0. `then` is a.

    Rajamanoharan et al., Improving dictionary learning with gated sparse autoencoders, 2024, eq. 6 and 7,
    with `scale` for exp(r_mag).
    """

    gate: Float32[Tensor, "latent"]
    scale: Float32[Tensor, "latent"]
    magnitude: Float32[Tensor, "latent"]
    then: "Activation"

    def __call__(self, h: Latents) -> Latents:
        return self.then(h * self.scale + self.magnitude).masked_fill(h + self.gate <= 0, 0)


@dataclass(frozen=True, eq=False)
class NonNegative:
    """The codes of a non-negative factorization: z >= 0 with x near z D, where h = x D'.

    Multiplicative updates z <- z * max(h, 0) / (z D D' + 1e-6), `steps` times (Lee and Seung, NIPS 2000).
    `gram` is D D'.
    """

    gram: Float32[Tensor, "latent latent"]
    steps: int

    def __call__(self, h: Latents) -> Latents:
        wanted = h.relu()
        codes = wanted
        for _ in range(self.steps):
            codes = codes * wanted / (codes @ self.gram + 1e-6)
        return codes


Activation = Linear | Relu | TanhRelu | TopK | Threshold | Gated | NonNegative

ACTIVATIONS: dict[str, type[Activation]] = {
    "linear": Linear,
    "relu": Relu,
    "tanh-relu": TanhRelu,
    "topk": TopK,
    "threshold": Threshold,
    "gated": Gated,
    "non-negative": NonNegative,
}
"""All of them, by the words that files have for them."""
