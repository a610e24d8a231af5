"""Commands that compare representations: the experiments of paper A, over students taught for them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from glob import glob
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitscope.cli.parsing import Command
from unitscope.cli.words import (
    Arithmetic,
    Jobs,
    Json,
    Kept,
    Quick,
    Results,
    Scenes,
    Seeds,
    Source,
    print_json,
)
from unitscope.errors import UsageError
from unitscope.lab.commands.raters_study import raters

if TYPE_CHECKING:
    from unitscope.lab.studies.study import Finding
    from unitscope.lab.studies.trained_groups import Setting

KEPT = Path("runs/study")


@dataclass(frozen=True)
class Comparison:
    """A study as its command knows it: where it is compared, how it is drawn, what its help says."""

    compare: str
    draw: str
    told: str

    def run(self, setting: "Setting") -> "tuple[Finding, Callable[[Path], Path]]":
        found, shown = _find(self.compare)(setting)
        return found, lambda path: _find(self.draw)(shown, path)


def _find(place: str) -> Any:
    """A function of this package, imported only now: the command line stays quick."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"unitscope.{module}"), name)


_BARS = "lab.studies.figures.concept_bars:draw_cohort"
COMPARISONS: dict[str, Comparison] = {
    "layers": Comparison(
        "lab.studies.layers:compare_depths",
        "lab.studies.figures.study_figures:draw_layers",
        "",
    ),
    "axis": Comparison(
        "lab.studies.rotation_groups:compare_axis", "lab.studies.figures.axis_figure:draw_axis", ""
    ),
    "architectures": Comparison(
        "lab.studies.architectures:compare_architectures",
        _BARS,
        "Compare six styles of architecture, taught alike, by the concepts of their last layer.",
    ),
    "supervision": Comparison(
        "lab.studies.supervision:compare_supervision",
        _BARS,
        "Compare what labels, captions and puzzles without labels make of one architecture.",
    ),
    "training": Comparison(
        "lab.studies.training:compare_training",
        "lab.studies.figures.study_figures:draw_trainings",
        "",
    ),
    "conditions": Comparison(
        "lab.studies.conditions:compare_conditions",
        _BARS,
        "Compare trainings without dropout or batch normalization, with augmentation, with weight decay.",
    ),
    "width": Comparison(
        "lab.studies.width:compare_width",
        _BARS,
        "Compare last layers of 64 to 1,024 units.",
    ),
    "transfer": Comparison(
        "lab.studies.transfer:compare_transfer",
        "lab.studies.figures.study_figures:draw_training",
        "Follow units through fine-tuning, from scenes to objects and from objects to scenes.",
    ),
    "discrimination": Comparison(
        "lab.studies.discrimination:compare_discrimination",
        "lab.studies.figures.study_figures:draw_discrimination",
        "Relate the object detectors of all studies' networks to what a linear machine reads from them.",
    ),
    "threshold": Comparison(
        "lab.studies.threshold:compare_threshold",
        "lab.studies.figures.study_figures:draw_threshold",
        "See whether the order of networks depends on IoU cut-off, quantile and counting rule.",
    ),
}
"""The studies over students, in the order of the paper."""


def set_study(
    kept: Path, seeds: int | None, images: int, jobs: int, convention: str, quick: bool
) -> "Setting":
    """The setting of a study. Raises `UsageError` for numbers below 1, and where figures cannot be drawn."""
    from unitscope.lab.studies.trained_groups import Setting
    from unitscope.views.figures import load_matplotlib

    for option, value in (("seeds", seeds), ("images", images), ("jobs", jobs)):
        if value is not None and value < 1:
            raise UsageError(f"--{option} is {value}; wanted 1 or more")
    load_matplotlib()  # what is missing is told before the work, not after it
    return Setting(kept, images, seeds, jobs, quick, convention)


def write_finding(finding: "Finding", draw: Callable[[Path], Path], out: Path) -> Path:
    """Writes tables, figure and finding.md; the path of the figure."""
    from unitscope.files import write_whole
    from unitscope.tables import write_tables

    write_tables(out, finding.tables)
    write_whole(out / "finding.md", finding.spell())
    return draw(out / "figure.svg")


def show_finding(finding: "Finding", figure: Path, json: bool) -> None:
    """Prints a finding and where its figure lies."""
    if json:
        print_json({**asdict(finding), "figure": str(figure)})
    else:
        print(f"{finding.question}\n\n{finding.spell()}\nfigure: {figure}")


def _make_command(name: str, study: Comparison) -> Command:
    """The command of a study that has no options of its own."""

    def command(
        seeds: Seeds = None,
        images: Scenes = 1000,
        jobs: Jobs = 2,
        convention: Arithmetic = "netdissect",
        kept: Kept = KEPT,
        out: Results = None,
        quick: Quick = False,
        json: Json = False,
    ) -> None:
        finding, draw = study.run(set_study(kept, seeds, images, jobs, convention, quick))
        show_finding(finding, write_finding(finding, draw, out or kept / name), json)

    command.__name__ = name
    command.__doc__ = f"{study.told}\n\nWrites tables as CSV, finding.md and figure.svg."
    return command


def layers(
    network: str | None = None,
    layers: tuple[str, ...] = (),
    concepts: Source = "drawn:count=1000,seed=2000,size=64",
    weights: tuple[Path, ...] = (),
    images: Scenes = 1000,
    jobs: Jobs = 2,
    convention: Arithmetic = "netdissect",
    kept: Kept = KEPT,
    out: Results = None,
    quick: Quick = False,
    json: Json = False,
) -> None:
    """Count the concepts of every layer of a classifier, by category.

    Without --network over five students taught for it, beside random weights. Writes layers.csv, finding.md
    and figure.svg.

    Args:
        network: a network of your own, all its layers read in one pass, beside its random weights.
        layers: its layers, in their order.
        concepts: the labelled images for it.
        weights: files of weights, such as one a seed, instead of the network's own.
    """
    import unitscope as us
    from unitscope.lab.studies.figures.study_figures import draw_layers
    from unitscope.lab.studies.layers import dissect_layers, judge_layers

    setting = set_study(kept, None, images, jobs, convention, quick)
    if network is None:
        if layers or weights:
            raise UsageError(
                "--layers and --weights go with --network; the students have layers of their own"
            )
        finding, draw = COMPARISONS["layers"].run(setting)
        show_finding(finding, write_finding(finding, draw, out or kept / "layers"), json)
        return
    if not layers:
        raise UsageError(f"no layer was named; `unitscope layers {network}` lists what can be dissected")
    source = us.open_source(concepts)
    source = us.limit(source, 100) if quick else source
    cohorts: dict[str, Any] = {network: [], "Random weights": []}
    for seed, file in enumerate(weights or (None,)):
        for name, opened in (
            (network, us.load_network(network, weights=file)),
            ("Random weights", us.load_network(network, random=seed)),
        ):
            cohorts[name] += dissect_layers(
                opened, layers, source, convention=convention, seed=seed, cache=kept / "packed"
            )
    finding = judge_layers(cohorts, quick)
    figure = write_finding(finding, lambda path: draw_layers(cohorts, path), out or kept / "layers")
    show_finding(finding, figure, json)


def training(
    checkpoints: tuple[str, ...] = (),
    network: str | None = None,
    layer: str | None = None,
    concepts: Source = "drawn:count=1000,seed=2000,size=64",
    images: Scenes = 1000,
    jobs: Jobs = 2,
    convention: Arithmetic = "netdissect",
    kept: Kept = KEPT,
    out: Results = None,
    quick: Quick = False,
    json: Json = False,
) -> None:
    """Follow the units of a layer through the checkpoints of a training.

    Without --checkpoints over five students taught for it, kept at powers of two. Writes training.csv,
    changes.csv, tracks.csv, finding.md and figure.svg.

    Args:
        checkpoints: weights of your own network, one file a step, such as 'runs/*.safetensors'; the last
            number in a file's name is its step.
        network: the network that they belong to.
        layer: the layer whose units are followed.
        concepts: the labelled images for it.
    """
    import unitscope as us
    from unitscope.lab.studies.figures.study_figures import draw_trainings
    from unitscope.lab.studies.training import follow_checkpoints, judge_training, order_checkpoints

    setting = set_study(kept, None, images, jobs, convention, quick)
    if not checkpoints:
        if network or layer:
            raise UsageError("--network and --layer go with --checkpoints, the weights of its training")
        finding, draw = COMPARISONS["training"].run(setting)
        show_finding(finding, write_finding(finding, draw, out or kept / "training"), json)
        return
    if network is None or layer is None:
        raise UsageError(
            "--checkpoints are weights of a network: name it with --network, its layer with --layer"
        )
    source = us.open_source(concepts)
    source = us.limit(source, 100) if quick else source
    steps = order_checkpoints(_expand(checkpoints))
    loaders = {step: partial(us.load_network, network, weights=file) for step, file in steps.items()}
    followed = follow_checkpoints(
        loaders, layer, source, convention=convention, cache=kept / "packed", group=network
    )
    finding = judge_training([followed], quick)
    figure = write_finding(finding, lambda path: draw_trainings([followed], path), out or kept / "training")
    show_finding(finding, figure, json)


def _expand(patterns: tuple[str, ...]) -> list[Path]:
    """The files that patterns name. Raises `UsageError` for a pattern that names none."""
    found: list[Path] = []
    for pattern in patterns:
        files = [Path(one) for one in sorted(glob(pattern, recursive=True))]
        if not files:
            raise UsageError(f"no file is named {pattern}; wanted weights such as 'runs/*.safetensors'")
        found += files
    return list(dict.fromkeys(found))


def everything(
    images: Scenes = 1000,
    seeds: Seeds = None,
    jobs: Jobs = 2,
    convention: Arithmetic = "netdissect",
    kept: Kept = KEPT,
    quick: Quick = False,
) -> None:
    """Run every study of paper A, each into a folder of its own, and put all claims side by side.

    Each study is run as by its own command, scripted raters last; what is there is not made again. Writes
    summary.md.
    """
    from unitscope.files import write_whole
    from unitscope.lab.studies.study import spell_summary

    setting = set_study(kept, seeds, images, jobs, convention, quick)
    findings = []
    for name, study in COMPARISONS.items():
        finding, draw = study.run(setting)
        figure = write_finding(finding, draw, kept / name)
        findings.append(finding)
        print(f"{name}: {', '.join(claim.verdict for claim in finding.claims)}; {figure}", flush=True)
    write_whole(kept / "summary.md", spell_summary(findings))
    raters(convention=convention, out=kept / "raters", quick=quick)
    print(f"\n{spell_summary(findings)}\nsummary: {kept / 'summary.md'}")


COMPARING: dict[str, Command] = {
    **{name: _make_command(name, study) for name, study in COMPARISONS.items() if study.told},
    "layers": layers,
    "training": training,
    "all": everything,
}


def __getattr__(name: str) -> Command:
    """The command of a study that has no options of its own."""
    if name in COMPARING:
        return COMPARING[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
