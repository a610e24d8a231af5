"""Are p-values what they say? Units that know nothing are planted, and real ones compared with 4,000
permutations.

    python benchmarks/calibration.py [CASE ...] [--null blocks] [--units 320] [--reference 200]

A planted unit has the masks of a real one, moved to other images: each by a permutation of its own. Its
p-values should be uniform: printed are Kolmogorov's distance with its p-value, and the shares with p < 0.05
and p < 0.01 with their standard errors. Of real units, picked evenly, the p-values are held against those
counted over 4,000 permutations of all images: the share of units where q < 0.05 is answered alike.
Photographs are looked for in the folder that UNITSCOPE_DATA names.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory

import numpy as np
from naming import RULES, WORDS, label, make_scan
from scipy import stats

import unitscope as us
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import find_convention
from unitscope.dissection.dissect import Confidences
from unitscope.dissection.planning import plan_scan
from unitscope.dissection.significance import judge_units, q_values
from unitscope.statistics.annotations import LabelIndex, merge_annotations
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.kernels import tallies
from unitscope.statistics.overlap import RULES as UNIONS
from unitscope.statistics.overlap import measure_overlap
from unitscope.statistics.quantiles import Masks
from unitscope.statistics.resampling import draw_resampling
from unitscope.statistics.scan import Machine, Scan, ScanPlan, scan_shards
from unitscope.statistics.threads import open_threads

PERMUTATIONS = 4000


@dataclass(frozen=True)
class Moved:
    """Masks in the place of a tail: those of `units`, by image and runs."""

    images: list[np.ndarray]
    sizes: list[np.ndarray]
    runs: list[np.ndarray]

    def part(self, start: int, stop: int) -> "Moved":
        return Moved(self.images[start:stop], self.sizes[start:stop], self.runs[start:stop])

    def thresholds(self) -> np.ndarray:
        return np.zeros(len(self.images), np.float32)

    def masks(self, thresholds: np.ndarray) -> Masks:
        counts = np.array([len(images) for images in self.images])
        return Masks(counts, *(np.concatenate(parts) for parts in (self.images, self.sizes, self.runs)))


@dataclass(frozen=True)
class Case:
    """A layer's masks over labeled images."""

    index: LabelIndex
    union: str
    map_size: tuple[int, int]
    masks: Moved

    def judge(self, masks: Moved, seed: int, null: str) -> np.ndarray:
        """The p-values of units with these masks."""
        index = self.index
        areas = index.annotations.concept_pixels(index.vocabulary.size)
        draws = draw_resampling(len(index.annotations), seed, **asdict(Confidences(null=null)))
        units = len(masks.images)
        tops = TopImages(np.full((units, 1), -1, np.int32), np.zeros((units, 1), np.float32))
        with open_threads(2) as threads:
            found, evidence, _ = measure_overlap(
                masks, tops, index, self.union, areas, draws, threads, None, self.map_size
            )
        places = np.maximum(index.vocabulary.category_index, 0)
        union = found.active_in[:, places] + areas - found.intersections
        iou = np.where(found.intersections > 0, found.intersections / np.maximum(union, 1), 0).max(1)
        return judge_units(iou, evidence, 0.04, draws).p_value

    def permute(self, units: np.ndarray) -> np.ndarray:
        """p-values counted over permutations of all images: random cycles through them."""
        index, masks = self.index, self.masks
        areas = index.annotations.concept_pixels(index.vocabulary.size)
        count, rng = len(index.annotations), np.random.default_rng(12345)
        categories, p = len(index.vocabulary.categories), []
        orders = [rng.permutation(count) for _ in range(40)]
        shifts = [1 + rng.permutation(count - 1)[: PERMUTATIONS // 40] for _ in orders]
        for unit in units:
            image, size, runs = masks.images[unit], masks.sizes[unit], masks.runs[unit]
            taken = (image, size, runs, tallies.mask_pixels(size, runs))
            table = (index.arrays, UNIONS[self.union], areas, categories)
            truth = tallies.null_overlaps(
                *taken, np.arange(count), np.arange(count), np.zeros(1, np.int64), *table
            )
            reached = 0
            for order, some in zip(orders, shifts, strict=True):
                reached += (
                    tallies.null_overlaps(*taken, order, np.argsort(order), some, *table) >= truth
                ).sum()
            p.append((1 + reached) / (1 + sum(map(len, shifts))))
        return np.array(p)

    def plant(self, count: int, seed: int) -> Moved:
        """`count` units that know nothing."""
        rng, images = np.random.default_rng(seed), len(self.index.annotations)
        real = self.masks
        picked = [unit for unit in range(len(real.images)) if len(real.images[unit])]
        picked = [picked[k % len(picked)] for k in rng.permutation(max(count, len(picked)))[:count]]
        moved = []
        for unit in picked:
            image = rng.permutation(images)[real.images[unit]]
            order = np.argsort(image)
            starts = np.concatenate([[0], np.cumsum(real.sizes[unit])])
            runs = [real.runs[unit][starts[k] : starts[k + 1]] for k in order]
            moved.append((image[order].astype(np.int32), real.sizes[unit][order], np.concatenate(runs)))
        return Moved(*(list(column) for column in zip(*moved, strict=True)))


def read_case(scan: Scan, plan: ScanPlan, layer: str, words: us.Vocabulary, union: str) -> Case:
    part = scan.tails[layer].part(0, plan.tails[layer].units)
    counts, image, size, runs = part.masks(part.thresholds())
    places = np.concatenate([[0], np.cumsum(counts)])
    starts = np.concatenate([[0], np.cumsum(size)])[places]
    images, sizes = (np.split(column, places[1:-1]) for column in (image, size))
    masks = Moved(images, sizes, np.split(runs, starts[1:-1]))
    return Case(LabelIndex(scan.annotations, words), union, plan.tails[layer].raw_size, masks)


def dissect_case(network: str, source: ConceptSource, layer: str, convention: str) -> Case:
    opened, rules = us.load_network(network), find_convention(convention)
    plan, _, _ = plan_scan(opened, source, [layer], rules, {}, None, "stretch")
    scan = None
    for _, _, total, _ in scan_shards(opened, source, plan, Machine(threads=2), lambda number: None):
        scan = total
    assert scan is not None
    return read_case(scan, plan, layer, source.vocabulary, rules.union)


def open_msrc() -> ConceptSource:
    return us.open_source(f"folder:{os.environ.get('UNITSCOPE_DATA', '../shared/data')}/msrc")


def unite_case() -> Case:
    """708 images by lot of five sets united."""
    home = os.environ.get("UNITSCOPE_DATA", "../shared/data")
    sets = [f"folder:{home}/{name}" for name in ("msrc", "coco128", "fasseg", "dtd", "sun8")]
    with TemporaryDirectory() as folder:
        us.unite_sources([us.open_source(one) for one in sets], f"{folder}/united")
        united = us.open_source(f"broden:{folder}/united")  # its order is by lot
        return dissect_case(LITE0, us.limit(united, 708), "_conv_head", "netdissect")


def make_case() -> Case:
    annotations = merge_annotations([label(number) for number in range(8000)]).join()
    scan, plan = make_scan(8000, 64, annotations, 2)
    return read_case(scan, plan, "made", WORDS, RULES.union)


LITE0 = "efficientnet-lite0"
CASES: dict[str, Callable[[], Case]] = {
    **{
        f"msrc {layer}": lambda layer=layer: dissect_case(LITE0, open_msrc(), layer, "netdissect")
        for layer in ("_blocks.5", "_blocks.10", "_conv_head")
    },
    "msrc _conv_head pnas": lambda: dissect_case(LITE0, open_msrc(), "_conv_head", "pnas"),
    "drawn layer5": lambda: dissect_case(
        "zoo:scene-classifier", us.open_source("drawn:count=1000,seed=3"), "layer5", "netdissect"
    ),
    "united _conv_head": unite_case,
    "made 8,000": make_case,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--null", choices=["blocks", "shifts"], default="blocks")
    parser.add_argument("--units", type=int, default=320)
    parser.add_argument("--reference", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="random orders, each with units planted anew")
    args = parser.parse_args()
    for name in args.cases or CASES:
        case = CASES[name]()
        p = np.concatenate(
            [case.judge(case.plant(args.units, seed), seed, args.null) for seed in range(args.seeds)]
        )
        found, at = stats.kstest(p, "uniform"), [(p < level).mean() for level in (0.05, 0.01)]
        errors = [np.sqrt(level * (1 - level) / len(p)) for level in (0.05, 0.01)]
        print(
            f"{name}: {len(p)} planted units, KS {found.statistic:.3f} (p {found.pvalue:.2f}), "
            + ", ".join(
                f"p<{level} {share:.3f} ({error:.3f})"
                for level, share, error in zip((0.05, 0.01), at, errors, strict=True)
            ),
            flush=True,
        )
        if args.reference:
            units = np.unique(np.linspace(0, len(case.masks.images) - 1, args.reference).astype(int))
            real = Moved(*([column[u] for u in units] for column in vars(case.masks).values()))
            sure = case.permute(units)
            alike = []
            for seed in range(5):
                p = case.judge(real, seed, args.null)
                alike.append(((q_values(p) < 0.05) == (q_values(sure) < 0.05)).mean())
            print(
                f"{name}: {len(units)} real units, q < 0.05 as in {PERMUTATIONS} permutations "
                f"{np.mean(alike):.3f} (seeds {min(alike):.3f} to {max(alike):.3f}); "
                f"{(q_values(sure) < 0.05).mean():.3f} are",
                flush=True,
            )


if __name__ == "__main__":
    main()
