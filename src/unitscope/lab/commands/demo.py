"""The demo: what unitscope does, from end to end, on what ships with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import unitscope as us
from unitscope.cli.words import Flag

if TYPE_CHECKING:
    from unitscope.lab.tour import Chapter

TITLE = "What do hidden units see?"
LEAD = (
    "A tour of unitscope on what ships with it: scenes painted by code, whose every pixel has a name, "
    "and networks trained on them. Nothing was downloaded."
)

WORLD = (
    "{scenes} kinds of scene share {objects} objects, with their parts, materials, textures and colors. "
    "Light, weather, place and company vary, so that a scene is told by what stands together. Since code "
    "paints every pixel, every pixel's name is known."
)
CLASSIFIER = (
    "The classifier was taught the names of scenes only. Its last layer is dissected twice: with the true "
    "names of the pixels, and with those that a second network, the segmenter, gives them. Each row is a "
    "unit with its top images, dark where it is silent."
)
GENERATOR = (
    "This network turns random numbers into pictures of outdoor scenes. The segmenter names what it has "
    "painted, and units turn out to be painters of one thing. Below the samples: units of {layer}."
)
REMOVAL = (
    "Every class is tried without the units that it needs most, ranked on half of {images} scenes and "
    "removed on the other half. The figures are balanced accuracies, the mean over classes; 0.5 is chance. "
    "Below, one prediction as a sum of its named units, each lit where it is most active."
)
PAINTERS = (
    "Units are named on some pictures and tried on {images} others. Twenty units of {layer} that paint trees "
    "are set to 0 everywhere, and the trees go; set to their usual level at one place, they draw a tree, if "
    "the place is one for trees. Above: before, and without the units. Below: a marked place, and what they "
    "make of it."
)
PRETRAINED = (
    "EfficientNet-Lite0 has learned from photographs. It has never seen a drawn scene, and still many of "
    "its units know what is in one."
)


FEWEST = 480
"""So many scenes hold every class several times, in either half."""
EXPLAINED = 3
"""Which scene is explained, of 40 of seed 9."""
PAINTED = ("tree", "object/water")
PAINTING_LAYER = "layer2"


def demo(out: Path = Path("runs/demo"), count: int = 400, resume: Flag = False) -> None:
    """Dissect a classifier, with true labels and with a segmenter, and a generator; remove and insert units.

    All of it offline, on what ships with the package; one page leads through it.

    Args:
        out: folder of the runs and of the page.
        count: how many scenes are drawn, and images generated.
        resume: go on with a demo that was interrupted.
    """
    from unitscope.lab.tour import write_tour

    chapters = [
        _show_scenes(out),
        _dissect_classifier(out, count, resume),
        _remove_units(out, count),
        _dissect_generator(out, count, resume),
        _paint_with_units(out, count),
        _dissect_pretrained(out, max(2, count // 2), resume),
    ]
    print(f"page: {write_tour(chapters, out, title=TITLE, lead=LEAD)}")


def _run(
    network: "us.Network",
    source: "us.ConceptSource",
    layers: Sequence[str],
    out: Path,
    convention: str,
    resume: bool,
) -> "us.Dissection":
    """One dissection with its report; one that is already there is opened."""
    done = resume and (out / "run.json").is_file()
    run = (
        us.load(out)
        if done
        else us.dissect(network, source, layers, convention=convention, out=out, resume=resume)
    )
    us.write_report(run, source, out / "report", run=out)
    return run


def _show_scenes(out: Path) -> "Chapter":
    from unitscope.lab.tour import Chapter
    from unitscope.lab.world.names import OBJECT_IDS, SCENES
    from unitscope.lab.world.scenes import paint
    from unitscope.lab.world.shading import render
    from unitscope.views.drawing import save_picture
    from unitscope.views.exemplar_strip import draw_sheet

    print(f"1 of 6: {len(SCENES)} kinds of scene, painted by code")
    pictures = [render(paint(0, place, 128, scene)[1]) for place, scene in enumerate(SCENES)]
    save_picture(draw_sheet(pictures, 8, 128), out / "pictures" / "scenes.png")
    return Chapter(
        "The drawn world",
        WORLD.format(scenes=len(SCENES), objects=len(OBJECT_IDS)),
        picture="pictures/scenes.png",
        alt=f"One picture of each of {len(SCENES)} kinds of scene",
    )


def _dissect_classifier(out: Path, count: int, resume: bool) -> "Chapter":
    from unitscope.concepts.segmented import SegmentedSource
    from unitscope.dissection.agreement import measure_agreement
    from unitscope.lab.tour import Chapter, draw_rows
    from unitscope.networks.open_source import load_segmenter

    print(f"2 of 6: the scene classifier over {count} scenes, with true labels and with a segmenter's")
    network = us.load_network("zoo:scene-classifier")
    true = us.open_source(f"drawn:count={count},seed=3,size=64")
    seen = SegmentedSource(true, load_segmenter("zoo:segmenter"))
    one = _run(network, true, ["layer3", "layer4", "layer5"], out / "true", "netdissect", resume)
    other = _run(network, seen, ["layer3", "layer4", "layer5"], out / "segmented", "netdissect", resume)
    us.compare_runs({"true labels": one, "segmenter": other}).page(out / "compared")
    found = measure_agreement(one["layer5"], other["layer5"])
    pictures = out / "pictures"
    return Chapter(
        "A classifier, by truth and by a segmenter",
        CLASSIFIER,
        (
            ("detectors, true labels", f"{one['layer5'].detectors} of {len(one['layer5'])}"),
            ("detectors, segmenter", f"{other['layer5'].detectors} of {len(other['layer5'])}"),
            ("units with the same name", f"{found.same:.0%}"),
            ("correlation of IoUs", f"{found.correlation:.2f}"),
        ),
        columns={
            "True labels": draw_rows(one, true, "layer5", pictures, "true"),
            "Segmenter": draw_rows(other, seen, "layer5", pictures, "segmented"),
        },
        links=(
            ("Report with true labels", "true/report/index.html"),
            ("Report with the segmenter", "segmented/report/index.html"),
            ("Unit by unit", "compared/index.html"),
        ),
    )


def _remove_units(out: Path, count: int) -> "Chapter":
    from unitscope.experiments.removal import study_removal
    from unitscope.experiments.removal_result import Pictures
    from unitscope.interventions.explained_images import explain
    from unitscope.lab.tour import Chapter
    from unitscope.views.drawing import save_picture
    from unitscope.views.explanation_sheet import draw_explanation

    images = max(2 * count, FEWEST)
    print(f"3 of 6: the scene classifier without some of its units, over {images} other scenes")
    network, named = us.load_network("zoo:scene-classifier"), us.load(out / "true")
    scenes = us.open_source(f"drawn:count={images},seed=4,size=64")
    study = study_removal(network, "layer5", scenes, run=named)
    study.save(out / "removal")
    seen = us.open_source(f"drawn:count={count},seed=3,size=64")
    study.page(out / "removal", pictures=Pictures(named, seen, out / "true"))
    image = us.open_source("drawn:count=40,seed=9,size=64")[EXPLAINED].image
    found = explain(network, image, "layer5", run=named)
    save_picture(draw_explanation(found.images[0]), out / "pictures" / "explained.png")
    levels, many = study.levels, study.many
    shown = {
        "all units": levels[None, "none", 0],
        f"{many} most important removed": levels[None, "most", many],
        f"{many} random removed": levels[None, "random", many],
        f"only {many} most important kept": levels[None, "only", many],
    }
    return Chapter(
        "What its units do",
        REMOVAL.format(images=images),
        tuple((title, level.balanced.spell(".2f")) for title, level in shown.items()),
        "pictures/explained.png",
        "A drawn scene and the six units that speak most for its class",
        links=(("Every class without its units", "removal/index.html"),),
    )


def _dissect_generator(out: Path, count: int, resume: bool) -> "Chapter":
    from unitscope.lab.tour import Chapter, draw_rows
    from unitscope.networks.generators import Generator, find_generated
    from unitscope.views.drawing import save_picture
    from unitscope.views.exemplar_strip import draw_sheet

    print(f"4 of 6: the generator over {count} images of its own")
    generator = us.load_network("zoo:generator")
    source = us.open_source(f"segmenter:zoo:segmenter,images=generator:zoo:generator,count={count}")
    images = find_generated(source)
    assert isinstance(generator, Generator)
    assert images is not None
    layers = ["layer1", "layer2", "layer3", "layer4"]
    run = _run(images.generator, source, layers, out / "generator", "pnas", resume)
    save_picture(draw_sheet(list(generator.generate(0, 40)), 10, 96), out / "pictures" / "generated.png")
    unique = {layer: sum(run[layer].unique["label"].values()) for layer in layers}
    best = max(layers, key=lambda layer: unique[layer])
    return Chapter(
        "A generator",
        GENERATOR.format(layer=best),
        [(f"unique concepts, {layer}", str(found)) for layer, found in unique.items()],
        "pictures/generated.png",
        "Forty pictures made by the generator",
        {"Units that paint": draw_rows(run, source, best, out / "pictures", "generated", 8)},
        (("Report of the generator", "generator/report/index.html"),),
    )


def _paint_with_units(out: Path, count: int) -> "Chapter":
    from unitscope.experiments.erasure import study_erasure
    from unitscope.experiments.placement import study_placement
    from unitscope.interventions.generator_run import open_studio
    from unitscope.lab.tour import Chapter
    from unitscope.views.generator_figures import draw_pairs
    from unitscope.views.generator_pages import paint_insertion, paint_removal, save_sheet

    images = max(count // 4, 40)
    print(f"5 of 6: the generator without some of its units, and with them set, over {images} other images")
    studio = open_studio(us.load_network("zoo:generator"), us.load(out / "generator"))
    erasure = study_erasure(studio, PAINTED, layer=PAINTING_LAYER, counts=(4, 20), images=images)
    placement = study_placement(
        studio, PAINTED, layer=PAINTING_LAYER, across=8, places=2, images=images, least=images // 10
    )
    for study, name in ((erasure, "erasure"), (placement, "insertion")):
        study.save(out / name)
        study.page(out / name)
    tree = erasure.targets[0]
    rows = [*paint_removal(erasure, tree), *paint_insertion(placement, tree)]
    save_sheet(draw_pairs(rows), out / "pictures" / "painters.jpg")
    removed = {by: erasure.removed(tree, by, 20) for by in erasure.kinds}
    added = {by: placement.trials[tree.concept.id, by].effect for by in placement.kinds}
    return Chapter(
        "Units that paint",
        PAINTERS.format(images=images, layer=PAINTING_LAYER),
        (
            ("% of tree pixels gone without 20 tree units", removed["iou"].spell(times=100.0)),
            ("% gone without 20 random ones", removed["random"].spell(times=100.0)),
            ("% more of a picture's tree pixels, set at one place", added["iou"].spell(times=100.0)),
            ("% more with random ones set there", added["random"].spell(times=100.0)),
        ),
        "pictures/painters.jpg",
        "Pictures before and after tree units are removed, and before and after they are set at one place",
        links=(("Removal", "erasure/index.html"), ("Insertion by what stood there", "insertion/index.html")),
    )


def _dissect_pretrained(out: Path, count: int, resume: bool) -> "Chapter":
    from unitscope.lab.tour import Chapter, draw_rows

    print(f"6 of 6: EfficientNet-Lite0, trained on ImageNet, over {count} drawn scenes")
    network = us.load_network("efficientnet-lite0")
    source = us.open_source(f"drawn:count={count},seed=3")
    layers = ["_blocks.5", "_blocks.10", "_conv_head"]
    run = _run(network, source, layers, out / "pretrained", "netdissect", resume)
    rows = draw_rows(run, source, "_conv_head", out / "pictures", "pretrained", 8)
    return Chapter(
        "A network of this world",
        PRETRAINED,
        tuple((f"detectors, {layer}", f"{run[layer].detectors} of {len(run[layer])}") for layer in layers),
        columns={"Units of the last layer": rows},
        links=(("Report of EfficientNet-Lite0", "pretrained/report/index.html"),),
    )
