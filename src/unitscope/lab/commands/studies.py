"""The commands of `unitscope study` that train students, or study a network of one's own likewise.

What works is imported where a command runs: the command line stays quick.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from unitscope.cli.sharing import Workers
from unitscope.cli.words import Convention, Flag, Json, Output, Source
from unitscope.errors import UsageError

if TYPE_CHECKING:
    from unitscope.concepts.vocabulary import ConceptSource
    from unitscope.lab.studies.study import Finding
    from unitscope.lab.studies.trained_groups import Setting
    from unitscope.networks.network import Network

KEPT = Path("runs/study")
Seeds = Annotated[int | None, arg(help="networks of each kind; by default 3, of axis, layers and training 5")]


@dataclass(frozen=True)
class Students:
    """How students are trained and dissected."""

    images: Annotated[int, arg(help="how many drawn scenes students are dissected over")] = 1000
    jobs: Annotated[int, arg(help="how many students are taught at a time, each on one core")] = 2
    convention: Convention = "netdissect"
    kept: Annotated[
        Path, arg(help="folder where students and their dissections are kept, for all studies")
    ] = KEPT
    quick: Annotated[
        Flag, arg(help="a small version for a first look: 16 steps of teaching, 100 images, one seed")
    ] = False
    sharing: Workers = field(default_factory=Workers)

    def set(self, seeds: int | None = None) -> "Setting":
        """The setting of a study.

        Raises `UsageError` for numbers below 1, and where figures cannot be drawn.
        """
        from unitscope.lab.studies.trained_groups import Setting
        from unitscope.views.figures import load_matplotlib

        for option, value in (("seeds", seeds), ("images", self.images), ("jobs", self.jobs)):
            if value is not None and value < 1:
                raise UsageError(f"--{option} is {value}; wanted 1 or more")
        load_matplotlib()  # where it is missing, that is reported before the work, not after it
        executor = self.sharing.start("cpu")
        return Setting(self.kept, self.images, seeds, self.jobs, self.quick, self.convention, executor)


@dataclass(frozen=True)
class Report:
    """Where the results go."""

    out: Annotated[Path | None, arg(help="folder of the results; by default that of the study in --kept")] = (
        None
    )
    json: Json = False

    def give(self, finding: "Finding", setting: "Setting") -> None:
        """Writes the finding with its figure, and prints it."""
        from unitscope.lab.commands.measurements import finish

        finish(finding, Output(self.out or setting.folder / finding.study, self.json))


def _study(name: str, line: str) -> Callable[..., None]:
    """The command of a study that has no options of its own."""

    def command(seeds: Seeds = None, students: Students = Students(), report: Report = Report()) -> None:
        from unitscope.lab.studies.catalog import STUDIES

        setting = students.set(seeds)
        report.give(STUDIES[name](setting), setting)

    command.__name__ = name
    command.__doc__ = f"{line}\n\nWrites tables as CSV, finding.md and figure.svg."
    return command


architectures = _study(
    "architectures", "Compare six styles of architecture, taught alike, by the concepts of their last layer."
)
supervision = _study(
    "supervision", "Compare what labels, captions and puzzles without labels make of one architecture."
)
conditions = _study(
    "conditions",
    "Compare trainings without dropout or batch normalization, with augmentation, with weight decay.",
)
width = _study("width", "Compare last layers of 64 to 1,024 units.")
transfer = _study(
    "transfer", "Follow units through fine-tuning, from scenes to objects and from objects to scenes."
)
discrimination = _study(
    "discrimination",
    "Relate the object detectors of all studies' networks to what a linear machine reads from them.",
)
threshold = _study(
    "threshold", "See whether the order of networks depends on IoU cut-off, quantile and counting rule."
)


def layers(
    network: str | None = None,
    layers: tuple[str, ...] = (),
    concepts: Source = "drawn:count=1000,seed=2000,size=64",
    weights: tuple[Path, ...] = (),
    students: Students = Students(),
    report: Report = Report(),
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
    from unitscope.lab.studies.depth import compare_trained_layers, study_layers

    setting = students.set()
    if network is None:
        if layers or weights:
            raise UsageError(
                "--layers and --weights go with --network; the students have layers of their own"
            )
        return report.give(study_layers(setting), setting)
    _check_alone(setting)
    source = _open_source(concepts, setting.quick)
    pairs = _open_pairs(network, weights)
    return report.give(compare_trained_layers(pairs, layers, source, setting, name=network), setting)


def axis(
    network: str | None = None,
    layers: tuple[str, ...] = (),
    before: str | None = None,
    concepts: Source = "drawn:count=1000,seed=2000,size=64",
    weights: tuple[Path, ...] = (),
    rotations: int = 5,
    seeds: Seeds = None,
    students: Students = Students(),
    report: Report = Report(),
) -> None:
    """Compare a layer's units with random rotations of them, under many conditions.

    Varies images, concepts, objects an image, cells of a map, rectification, layer, cut-off, quantile and
    counting, one at a time. With --network beside its random weights; without it over students taught for the
    study, also after less training and with other widths. Writes conditions.csv, parts.csv, finding.md and
    figure.svg.

    Args:
        network: a network of your own.
        layers: its layer at the center of the study, then others to compare it with.
        before: the same layer before its rectification.
        concepts: the labelled images for it.
        weights: files of weights, such as one a seed, instead of the network's own.
        rotations: how many random rotations of it.
    """
    from unitscope.lab.studies.rotation_finding import study_axis, study_rotations

    setting = students.set(seeds)
    if network is None:
        if layers or before or weights:
            raise UsageError(
                "--layers, --before and --weights go with --network; the students have their own"
            )
        return report.give(study_axis(setting), setting)
    _check_alone(setting)
    source = _open_source(concepts, setting.quick)
    finding = study_rotations(
        *(_open_pairs(network, weights), layers, source, setting),
        name=network,
        before=before,
        rotations=rotations,
    )
    return report.give(finding, setting)


def training(
    checkpoints: tuple[str, ...] = (),
    network: str | None = None,
    layer: str | None = None,
    concepts: Source = "drawn:count=1000,seed=2000,size=64",
    students: Students = Students(),
    report: Report = Report(),
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
    from unitscope.lab.studies.training import order_checkpoints, study_checkpoints, study_training

    setting = students.set()
    if not checkpoints:
        if network or layer:
            raise UsageError("--network and --layer go with --checkpoints, the weights of its training")
        return report.give(study_training(setting), setting)
    if network is None or layer is None:
        raise UsageError(
            "--checkpoints are weights of a network: name it with --network, its layer with --layer"
        )
    _check_alone(setting)
    source = _open_source(concepts, setting.quick)
    steps = order_checkpoints(expand(checkpoints))
    loaders = {step: partial(us.load_network, network, weights=file) for step, file in steps.items()}
    return report.give(study_checkpoints(loaders, layer, source, setting, name=network), setting)


def everything(seeds: Seeds = None, students: Students = Students()) -> None:
    """Run every study of paper A, each into a folder of its own, and put all claims side by side.

    Each study is run as by its own command, scripted raters last; what is there is not made again. Writes
    summary.md.
    """
    from unitscope.files import write_whole
    from unitscope.lab.commands.measurements import raters
    from unitscope.lab.studies.catalog import study_all
    from unitscope.lab.studies.study import spell_summary

    setting = students.set(seeds)
    findings = []
    for finding in study_all(setting):
        figure = finding.page(setting.folder / finding.study)
        findings.append(finding)
        verdicts = ", ".join(claim.verdict for claim in finding.claims)
        print(f"{finding.study}: {verdicts}; {figure}", flush=True)
    summary = write_whole(setting.folder / "summary.md", spell_summary(findings))
    output = Output(setting.folder / "raters")
    raters(convention=students.convention, quick=setting.quick, output=output)
    print(f"\n{spell_summary(findings)}\nsummary: {summary}")


def _check_alone(setting: "Setting") -> None:
    if setting.executor is not None:
        raise UsageError(
            "--workers and --ray share students; a network of your own is read by one process: "
            "leave them out, or share its dissection with unitscope dissect --workers"
        )


def _open_source(concepts: str, quick: bool) -> "ConceptSource":
    import unitscope as us

    source = us.open_source(concepts)
    return us.limit(source, 100) if quick else source


def _open_pairs(network: str, weights: tuple[Path, ...]) -> "Iterator[tuple[Network, Network]]":
    """The network with every file of weights, or with its own, beside the same with random weights."""
    import unitscope as us

    for seed, file in enumerate(weights or (None,)):
        yield us.load_network(network, weights=file), us.load_network(network, random=seed)


def expand(patterns: tuple[str, ...]) -> list[Path]:
    """The files that patterns name. Raises `UsageError` for a pattern that names none."""
    found: list[Path] = []
    for pattern in patterns:
        files = [Path(one) for one in sorted(glob(pattern, recursive=True))]
        if not files:
            raise UsageError(f"no file is named {pattern}; wanted weights such as 'runs/*.safetensors'")
        found += files
    return list(dict.fromkeys(found))
