"""What formulas cost: a layer over drawn scenes, a made-up Broden, and beside another package.

`scripts/bench formulas [drawn] [broden] [package]`; ten minutes, all three by default. The PyPI package
`compositional-explanations` is no dependency: it is compared with where it can be imported, such as from a
folder on PYTHONPATH that `pip install --no-deps --target FOLDER compositional-explanations` filled.
"""

import contextlib
import io
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import unitscope as us
from unitscope.dissection.formula_evidence import lay_ground, name_unit
from unitscope.statistics.formulas import LabelSets, Search, answer_unit
from unitscope.statistics.threads import open_pool
from unitscope.tables import align

SIDE, CONCEPTS, IMAGES = 28, 100, 500
"""The problem that both packages search."""
BRODEN = (1197, 60_000, 512)
"""Concepts, sets of labels and units of the made-up Broden."""


def clock(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that some work took, and what it gave; what it prints goes nowhere."""
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        found = work()
        return time.perf_counter() - start, found


def measure_drawn(scenes: int = 2000) -> None:
    """The zoo's classifier, `layer5`, over drawn scenes: search by search, and what is left held out."""
    network, source = us.load_network("zoo:scene-classifier"), us.open_source(f"drawn:count={scenes},size=64")
    plain, _ = clock(lambda: us.dissect(network, source, ["layer5"], label_sets=False))
    kept, run = clock(lambda: us.dissect(network, source, ["layer5"]))
    table = run["layer5"].label_table
    assert table is not None
    print(
        f"layer5 over {scenes:,} scenes: {len(table.starts) - 1:,} sets; the pass took {kept:.1f} s with the"
    )
    print(f"table and {plain:.1f} s without: {1e3 * (kept - plain) / scenes:.2f} ms an image")
    ground = lay_ground(table, 0, 0)
    counts = [ground.count(unit, ground.whole) for unit in range(table.units)]
    rows = [["search", "ms a unit", "worst", "mean IoU"]]
    for rule in (Search(1), Search(2), Search(3), Search(3, "beam"), Search(5, "beam"), Search(10, "beam")):
        answer_unit(ground.whole.sets, counts[0], rule)  # compiled
        found = [
            clock(lambda one=one, rule=rule: answer_unit(ground.whole.sets, one, rule)) for one in counts
        ]
        seconds = np.array([one[0] for one in found]) * 1e3
        iou = np.mean([one[1].formula.iou for one in found])
        name = f"{rule.how}, {rule.length}"
        rows.append([name, f"{seconds.mean():.2f}", f"{seconds.max():.1f}", f"{iou:.4f}"])
    print(align(rows, left=(0,)))
    named = [name_unit(ground, unit, Search(3)) for unit in range(table.units)]
    gains = np.array([one.held_out_name - one.held_out_single for one in named])
    taken = gains != 0
    print(f"held out: one concept {np.mean([one.held_out_single for one in named]):.4f}, three")
    print(
        f"{np.mean([one.held_out for one in named]):.4f}, by the gate {gains.mean():+.4f} over all units and"
    )
    print(f"{gains[taken].mean():+.4f} over the {taken.mean():.0%} that take a formula\n")


def make_broden(concepts: int, sets: int, units: int, seed: int = 0) -> tuple[LabelSets, np.ndarray]:
    """Sets of labels as dense annotation has them, areas with a long tail, and units that follow formulas."""
    rng = np.random.default_rng(seed)
    shares = 1 / (np.arange(concepts) + 10)
    shares /= shares.sum()
    sizes = 1 + rng.binomial(9, 0.4, sets)
    known = {tuple(sorted(set(rng.choice(concepts, size, p=shares).tolist()))) for size in sizes}
    while len(known) < sets:
        known.add(tuple(sorted(set(rng.choice(concepts, 1 + rng.binomial(9, 0.4), p=shares).tolist()))))
    listed = sorted(known)
    area = (rng.pareto(0.8, len(listed)) * 40).astype(np.int64) + 1
    table = LabelSets.of(listed, area.tolist(), concepts)
    counts = np.zeros((units, len(listed)), np.int64)
    for unit in range(units):
        first, second, third = rng.choice(concepts, 3, replace=False, p=shares)
        truth = (table.rows_of(first) | table.rows_of(second)) & ~table.rows_of(third)
        rate = np.where(truth, rng.uniform(0.1, 0.4), rng.uniform(0.001, 0.01))
        counts[unit] = rng.binomial(area, rate)
    return table, counts


def measure_broden() -> None:
    """Exact search of a made-up Broden by two threads."""
    table, counts = make_broden(*BRODEN)
    answer_unit(table, counts[0], Search(3))
    with open_pool(2) as pool:
        seconds, found = clock(lambda: list(pool.map(lambda one: answer_unit(table, one, Search(3)), counts)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"made-up Broden: {table.concepts:,} concepts, {len(table.area):,} sets, {len(counts)} units, exact:"
    )
    sure = sum(one.optimal for one in found)
    print(f"{seconds:.0f} s by two threads, {memory:.1f} GB at most; {sure} are certified\n")


def make_problem(images: int, concepts: int, units: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Masks of concepts, half of which exclude each other, and of units that follow formulas, with noise."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((concepts, images, SIDE, SIDE), bool)
    y, x = np.mgrid[:SIDE, :SIDE]
    for image in range(images):
        chosen, centers = rng.integers(0, concepts // 2, 6), rng.uniform(0, SIDE, (6, 2))
        nearest = ((y[..., None] - centers[:, 0]) ** 2 + (x[..., None] - centers[:, 1]) ** 2).argmin(-1)
        for place, concept in enumerate(chosen.tolist()):
            masks[concept, image] |= nearest == place
        for concept in rng.integers(concepts // 2, concepts, 6).tolist():
            top, left = rng.integers(0, SIDE - 8, 2)
            high, wide = rng.integers(6, 18, 2)
            masks[concept, image, top : top + high, left : left + wide] = True
    truth = []
    for _ in range(units):
        a, b, c = rng.choice(concepts, 3, replace=False)
        one = (masks[a] & ~masks[c]) | masks[b] if rng.random() < 0.5 else (masks[a] | masks[b]) & ~masks[c]
        truth.append((one & (rng.random(one.shape) < 0.4)) | (rng.random(one.shape) < 0.003))
    return masks.reshape(concepts, images, -1), np.stack(truth).reshape(units, images, -1)


def compare_package(images: int = IMAGES, concepts: int = CONCEPTS, units: int = 3) -> None:
    """Search only, one thread, in turn: what each package finds and how long it takes."""
    try:
        from compositional_explanations import beam, metrics, optimal
        from package_utils import mask_utils, optimal_utils
    except ImportError:
        print("compositional-explanations cannot be imported, so nothing is compared; see the docstring")
        return
    torch.set_num_threads(1)
    masks, truth = make_problem(images, concepts, units)
    sets, row = np.unique(masks.reshape(concepts, -1).T, axis=0, return_inverse=True)
    area = np.bincount(row.ravel(), minlength=len(sets)).tolist()
    table = LabelSets.of([np.flatnonzero(one).tolist() for one in sets], area, concepts)
    given = [torch.from_numpy(one) for one in masks]
    flat = masks.reshape(concepts, -1).astype(np.float32)
    disjoint = torch.from_numpy(flat @ flat.T == 0)
    _, info = clock(lambda: mask_utils.get_dataset_info(given, None))
    print(
        f"{images} images x {concepts} concepts, {len(sets):,} sets, {units} units, search only, one thread"
    )
    rows = [["", "theirs, s", "ours, ms", "times faster", "their IoU", "our IoU"]]
    for unit, mask in enumerate(truth):
        bitmaps = torch.from_numpy(mask)
        asked = {"masks": given, "bitmaps": bitmaps}
        quantities = optimal_utils.get_optimal_heuristic_info(**asked, masks_quantities=info)
        asked |= {"heuristic_info": (info, *quantities), "disjoint_info": disjoint}
        asked |= {"max_size_mask": given[0].numel(), "length": 3}
        counts = np.bincount(row.ravel(), mask.ravel(), len(sets)).astype(np.int64)
        for name, search, rule in (
            ("beam of 5", lambda asked=asked: beam.perform_search(**asked, beam_size=5), Search(3, "beam")),
            ("optimal", lambda asked=asked: optimal.perform_search(**asked), Search(3)),
        ):
            theirs, found = clock(search)
            iou = metrics.compute_iou_from_masks(formula=found, masks=given, bitmaps=bitmaps)
            answer_unit(table, counts, rule)  # compiled
            ours = [
                clock(lambda rule=rule, counts=counts: answer_unit(table, counts, rule)) for _ in range(9)
            ]
            seconds = float(np.median([one[0] for one in ours]))
            best = ours[0][1].formula.iou
            shown = [f"{theirs:.2f}", f"{1e3 * seconds:.2f}", f"{theirs / seconds:,.0f}"]
            rows.append([f"unit {unit}, {name}", *shown, f"{iou:.4f}", f"{best:.4f}"])
            if best < iou - 1e-9:
                print(f"unit {unit}, {name}: theirs is better, {iou} against {best}")
    print(align(rows, left=(0,)))


if __name__ == "__main__":
    parts = {"drawn": measure_drawn, "broden": measure_broden, "package": compare_package}
    for part in sys.argv[1:] or list(parts):
        parts[part]()
