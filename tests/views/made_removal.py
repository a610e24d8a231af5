"""A study of removal made up from a seed, for pages and figures."""

import numpy as np

from unitscope.experiments.removal import choose_counts
from unitscope.experiments.removal_result import Removal
from unitscope.interventions.importance import Importance
from unitscope.interventions.sweeps import Sweep

CLASSES = ("street", "mountain_lake", "<b>bold</b>", "=SUM(1)", "never", "beach")


def made_removal(named=None, units=64, seed=0):
    """Six classes, one without images; removal costs what it should."""
    rng = np.random.default_rng(seed)
    present = np.array([name != "never" for name in CLASSES])
    drops = [rng.gamma(1, 0.1, (len(CLASSES), units)) for _ in range(6)]
    ranked, tested = (Importance(*three, present=present) for three in (drops[:3], drops[3:]))
    counts, draws = choose_counts(units), 10
    sweeps = []
    for target in np.flatnonzero(present).tolist():
        base = 0.97 - 0.02 * target
        sweeps.append(Sweep(target, "none", 0, 0, base, base, 0.96))
        for count in counts:
            gone = count / units
            costs = {"most": 0.45 * gone**0.3, "least": 0.2 * gone**3, "only": 0.4 * (1 - gone) ** 3}
            sweeps += [
                Sweep(target, kind, count, 0, base - cost, base - cost, 0.96 - cost / 6)
                for kind, cost in costs.items()
            ]
            for draw in range(draws):
                cost = 0.4 * gone**2 * rng.uniform(0.5, 1.5)
                sweeps.append(Sweep(target, "random", count, draw, base - cost, base - cost, 0.96 - cost / 2))
    return Removal(
        network="efficientnet-lite0",
        layer="_conv_head",
        classes=CLASSES,
        counts=counts,
        draws=draws,
        seed=seed,
        ranking_source="folder:photographs <b>",
        ranking_images=400,
        testing_source="folder:photographs <b>",
        testing_images=400,
        ranked=ranked,
        tested=tested,
        correlation=np.tanh(rng.normal(0.2, 0.4, (len(CLASSES), units))),
        sweeps=tuple(sweeps),
        named=named,
    )
