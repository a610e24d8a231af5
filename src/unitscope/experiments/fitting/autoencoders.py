"""Sparse autoencoders: parameters, losses and steps."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

from unitscope.experiments.fitting.asked import Asked
from unitscope.networks.directions.activations import Activation, Relu, Threshold, TopK
from unitscope.networks.directions.directions import Directions, make_directions
from unitscope.networks.directions.normalizations import Standardized

SILENT = 100
"""A latent that did not fire for so many steps is dead, and learns from what the others miss."""
REVIVAL = 1 / 32
"""What that loss weighs (Gao et al. 2024, appendix A.2)."""
PREFIXES = (16, 8, 4, 2, 1)
"""The latents of a Matryoshka: a 16th of them, an 8th, ..., all."""
_WARM, _COOL = 100, 0.3
_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class _Code:
    """What is learned from in a step: latents, what the encoder gave, and the least that was kept."""

    latents: Float32[Tensor, "cell latent"]
    before: Float32[Tensor, "cell latent"]
    edge: float


class Autoencoder:
    """An autoencoder in training, on cells y that are standardized:

        h = (y - b) E + e,  z = activation(h),  y^ = z D + b

    E starts as D turned, whose rows have length 1 and keep it. The loss is the mean square of y - y^; of
    cells standardized by their own scale it is the share of the variance that is missed.

    - topk-sae: the k largest h of a cell, if above 0 (Gao et al., Scaling and evaluating sparse
      autoencoders, 2024);
    - batchtopk-sae: the k n largest of n cells; what the least of them was, on average, becomes the threshold
      (Bussmann et al., BatchTopK sparse autoencoders, 2024);
    - matryoshka-sae: the same, the loss being the mean over nested prefixes of the latents (Bussmann et al.,
      Learning multi-level features with Matryoshka sparse autoencoders, 2025);
    - relu-sae: max(h, 0), with a penalty on the sum of z / sqrt(d) (Bricken et al., Towards
      monosemanticity, 2023).

    Of the first three, latents that have not fired for `SILENT` steps rebuild what is left of y, at most
    d / 2 of them a cell, weighed by `REVIVAL`.
    """

    def __init__(self, asked: Asked, units: int) -> None:
        self.asked, self.units = asked, units
        drawn = torch.Generator().manual_seed(asked.seed)
        rows = functional.normalize(torch.randn(asked.latents, units, generator=drawn), dim=1)
        start = {
            "encoder": rows.T.contiguous(),
            "decoder": rows,
            "bias": torch.zeros(asked.latents),
            "offset": torch.zeros(units),
        }
        self.weights = {name: one.to(asked.device).requires_grad_() for name, one in start.items()}
        self.silent: Int64[Tensor, "latent"] = torch.zeros(asked.latents, dtype=torch.int64).to(asked.device)
        self.edges, self.done = torch.zeros(asked.training.steps, dtype=torch.float64), 0
        self.optimizer = torch.optim.Adam([*self.weights.values()], lr=asked.training.rate)

    def learn(self, cells: Float32[Tensor, "cell unit"]) -> float:
        """One step; the share of the cells' variance that was missed before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._find_rate()
        code = self._encode(cells)
        missed, loss = self._weigh(cells, code)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._turn_only()
        self.optimizer.step()
        with torch.no_grad():
            decoder = self.weights["decoder"]
            decoder.copy_(functional.normalize(decoder, dim=1))
            fired = (code.latents > 0).any(0)
            self.silent = torch.where(fired, 0, self.silent + 1)
        self.edges[self.done] = code.edge
        self.done += 1
        return float(missed)

    @property
    def threshold(self) -> float:
        """What the least latent that was kept was on average, over the last tenth of the steps."""
        return max(float(self.edges[self.done - max(1, self.done // 10) : self.done].mean()), _LEAST)

    def _find_rate(self) -> float:
        """Rises over the first steps, and falls to nothing over the last third."""
        steps, rate = self.asked.training.steps, self.asked.training.rate
        warm, cool = min(_WARM, max(1, steps // 10)), max(1.0, _COOL * steps)
        return rate * min(1.0, (self.done + 1) / warm, (steps - self.done) / cool)

    def _encode(self, cells: Float32[Tensor, "cell unit"]) -> _Code:
        weights, k = self.weights, self.asked.k
        before = torch.addmm(weights["bias"], cells - weights["offset"], weights["encoder"])
        if self.asked.kind == "relu-sae":
            return _Code(before.relu(), before, 0.0)
        if self.asked.kind == "topk-sae":
            return _Code(TopK(k, relu=True)(before), before, 0.0)
        flat = before.detach().flatten()
        edge = max(float(flat.kthvalue(len(flat) - k * len(cells) + 1).values), _LEAST)
        return _Code(before.masked_fill(before < edge, 0), before, edge)

    def _weigh(self, cells: Float32[Tensor, "cell unit"], code: _Code) -> tuple[Tensor, Tensor]:
        """The mean square of what is missed, and the loss."""
        rebuilt, losses, start = self.weights["offset"].expand_as(cells), list[Tensor](), 0
        for stop in list_prefixes(self.asked):
            part = code.latents[:, start:stop] @ self.weights["decoder"][start:stop]
            rebuilt, start = rebuilt + part, stop
            losses.append((rebuilt - cells).square().mean())
        missed, loss = losses[-1].detach(), torch.stack(losses).mean()
        if self.asked.kind == "relu-sae":
            size = code.latents.sum(1).mean() / self.units**0.5
            return missed, loss + self.asked.training.penalty * size
        dead = (self.silent >= SILENT).nonzero()[:, 0]
        if len(dead):
            loss = loss + REVIVAL * self._revive(code.before[:, dead], dead, (cells - rebuilt).detach())
        return missed, loss

    def _revive(
        self,
        before: Float[Tensor, "cell dead"],
        dead: Int64[Tensor, "dead"],
        left: Float[Tensor, "cell unit"],
    ) -> Tensor:
        most = min(len(dead), max(1, self.units // 2))
        kept = TopK(most, relu=True)(before)
        return (kept @ self.weights["decoder"][dead] - left).square().mean()

    def _turn_only(self) -> None:
        """Takes from the decoder's slope what would lengthen its rows."""
        decoder = self.weights["decoder"]
        assert decoder.grad is not None
        rows = decoder.detach()
        decoder.grad -= (decoder.grad * rows).sum(1, keepdim=True) * rows

    def pack(self) -> dict[str, Tensor]:
        """All that a training goes on from but the number of steps."""
        found = {name: one.detach() for name, one in self.weights.items()}
        for name, one in self.weights.items():
            for key, value in self.optimizer.state[one].items():
                found[f"{name}.{key}"] = value
        return found | {"silent": self.silent, "edges": self.edges}

    def unpack(self, found: dict[str, Tensor], done: int) -> None:
        """Goes on from what `pack` gave after so many steps. Raises `KeyError` where something is missing."""
        with torch.no_grad():
            for name, one in self.weights.items():
                one.copy_(found[name])
                if done:
                    keys = ("step", "exp_avg", "exp_avg_sq")
                    state = {key: found[f"{name}.{key}"].clone() for key in keys}
                    # Adam counts its steps on the CPU, whatever the device.
                    moved = {key: state[key].to(one.device) for key in keys[1:]}
                    self.optimizer.state[one] = {**state, **moved}
        self.silent = found["silent"].to(self.silent.device)
        self.edges, self.done = found["edges"], done

    def finish(self, normalization: Standardized) -> Directions:
        """The directions that were learned."""
        weights, latents = self.weights, self.asked.latents
        activation: Activation = TopK(self.asked.k, relu=True) if self.asked.kind == "topk-sae" else Relu()
        if self.asked.kind in ("batchtopk-sae", "matryoshka-sae"):
            activation = Threshold(torch.full((latents,), self.threshold), strict=False)
        return make_directions(
            weights["encoder"],
            weights["decoder"],
            bias=weights["bias"],
            offset=weights["offset"],
            subtracted=weights["offset"],
            normalization=normalization,
            activation=activation,
            kind=self.asked.kind,
        )


def list_prefixes(asked: Asked) -> list[int]:
    """How many latents each prefix has whose error counts: all, and of a Matryoshka also fewer."""
    if asked.kind != "matryoshka-sae":
        return [asked.latents]
    return sorted({max(1, asked.latents // part) for part in PREFIXES})
