"""The demo: what unitscope does, from end to end, on what ships with it.

Its words are in `templates/demo.toml`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

import unitscope as us
from unitscope.dissection.agreement import measure_agreement
from unitscope.dissection.formula_names import fit_of
from unitscope.experiments import (
    Pictures,
    Training,
    fit_directions,
    study_erasure,
    study_placement,
    study_removal,
)
from unitscope.interventions import explain, open_lens, open_studio
from unitscope.interventions.explained_images import ExplainedImage
from unitscope.interventions.looking.lens import Lens
from unitscope.interventions.looking.switches import switch_concept
from unitscope.lab.given_scenes import GIVEN, paint_given
from unitscope.lab.tour import Chapter, Row, draw_rows, write_tour
from unitscope.lab.world.names import OBJECT_IDS, SCENES
from unitscope.lab.world.scenes import paint
from unitscope.lab.world.shading import render
from unitscope.networks.generators import find_generated
from unitscope.views.drawing import draw_sheet, pick_units, save_picture
from unitscope.views.explanation_sheet import draw_explanation
from unitscope.views.generator_pages import draw_pairs, paint_insertion, paint_removal, save_sheet
from unitscope.views.look.sessions import save_session

FEWEST = 480
"""So many scenes hold every class several times, in either half."""
EXPLAINED = 3
"""Which scene is explained, of 40 of seed 9."""
PAINTED = ("tree", "object/water")
PAINTING_LAYER = "layer3"
CLASSIFIER_LAYERS = ("layer3", "layer4", "layer5")
SENTENCES, SENTENCE_DRAWS, SENTENCE_IMAGES = 16, 100, 20
LATENTS, FIRING, FITTING_STEPS = 320, 16, 100
GENERATOR_LAYERS = ("layer1", "layer2", "layer3", "layer4")
PRETRAINED_LAYERS = ("_blocks.5", "_blocks.10", "_conv_head")

Figures = Sequence[tuple[str, str]]


def run_demo(out: str | Path = "runs/demo", *, count: int = 400, resume: bool = False) -> Path:
    """Dissects a classifier and a generator, removes units and inserts them; the path of the page about it.

    All of it offline, on what ships with the package, over `count` scenes and generated images. With
    `resume`, dissections that are there are not made again. Prints a line a chapter.

    Raises `RunError` where `out` cannot be written.
    """
    demo = Demo(Path(out), count, resume)
    chapters = [
        _show_world(demo),
        _dissect_classifier(demo),
        _remove_units(demo),
        _name_in_sentences(demo),
        _dissect_directions(demo),
        _dissect_generator(demo),
        _paint_with_units(demo),
        _paint_given(demo),
        _dissect_pretrained(demo),
    ]
    return write_tour(chapters, demo.out, title=demo.words["title"], lead=demo.words["lead"])


@dataclass(frozen=True)
class Demo:
    """A demo in the folder `out`, over `count` images."""

    out: Path
    count: int
    resume: bool

    @property
    def pictures(self) -> Path:
        """The folder of the pictures of the page."""
        return self.out / "pictures"

    @property
    def words(self) -> dict[str, Any]:
        """What the demo says."""
        return tomllib.loads((files("unitscope.lab") / "templates" / "demo.toml").read_text("utf-8"))

    def begin(self, name: str, **filled: object) -> None:
        """Prints the line of a chapter."""
        print(self.words[name]["line"].format(**filled))

    def write(
        self, name: str, figures: Figures = (), columns: Mapping[str, Sequence[Row]] = {}, **filled: object
    ) -> Chapter:
        """The chapter of that name, with what was found."""
        words = self.words[name]
        text, alt = (words.get(part, "").format(**filled) for part in ("text", "alt"))
        links = [(title, link) for title, link in words.get("links", ())]
        return Chapter(words["title"], text, figures, words.get("picture", ""), alt, columns, links)

    def dissect(
        self,
        name: str,
        network: us.Network,
        source: us.ConceptSource,
        layers: Sequence[str],
        convention: str = "netdissect",
    ) -> us.Dissection:
        """The dissection of that name with its report; with `resume` one that is already there is opened."""
        folder = self.out / name
        if self.resume and (folder / "run.json").is_file():
            run = us.load(folder)
        else:
            run = us.dissect(network, source, layers, convention=convention, out=folder, resume=self.resume)
        us.write_report(run, source, folder / "report", run=folder)
        return run


def _show_world(demo: Demo) -> Chapter:
    """One picture of every kind of scene."""
    demo.begin("world", scenes=len(SCENES))
    pictures = [render(paint(0, place, 128, scene)[1]) for place, scene in enumerate(SCENES)]
    save_picture(draw_sheet(pictures, 8, 128), demo.pictures / "scenes.png")
    return demo.write("world", scenes=len(SCENES), objects=len(OBJECT_IDS))


def _dissect_classifier(demo: Demo) -> Chapter:
    """The scene classifier, with true labels and with those of a segmenter."""
    demo.begin("classifier", count=demo.count)
    network, scenes = us.load_network("zoo:scene-classifier"), f"drawn:count={demo.count},seed=3,size=64"
    true, seen = us.open_source(scenes), us.open_source(f"segmenter:zoo:segmenter,images={scenes}")
    one = demo.dissect("true", network, true, CLASSIFIER_LAYERS)
    other = demo.dissect("segmented", network, seen, CLASSIFIER_LAYERS)
    us.compare_runs({"true labels": one, "segmenter": other}).page(demo.out / "compared")
    found = measure_agreement(one["layer5"], other["layer5"])
    figures = (
        ("detectors, true labels", _count_detectors(one, "layer5")),
        ("detectors, segmenter", _count_detectors(other, "layer5")),
        ("units with the same name", f"{found.same:.0%}"),
        ("correlation of IoUs", f"{found.correlation:.2f}"),
    )
    columns = {
        "True labels": draw_rows(one, true, "layer5", demo.pictures, "true"),
        "Segmenter": draw_rows(other, seen, "layer5", demo.pictures, "segmented"),
    }
    return demo.write("classifier", figures, columns)


def _count_detectors(run: us.Dissection, layer: str) -> str:
    """How many units of a layer are detectors."""
    return f"{run[layer].detectors} of {len(run[layer])}"


def _remove_units(demo: Demo) -> Chapter:
    """The scene classifier without some of its units, and one of its predictions explained."""
    images = max(2 * demo.count, FEWEST)
    demo.begin("removal", images=images)
    network, named = us.load_network("zoo:scene-classifier"), us.load(demo.out / "true")
    study = study_removal(
        network, "layer5", us.open_source(f"drawn:count={images},seed=4,size=64"), run=named
    )
    study.save(demo.out / "removal")
    seen = us.open_source(f"drawn:count={demo.count},seed=3,size=64")
    study.page(demo.out / "removal", pictures=Pictures(named, seen, demo.out / "true"))
    image = us.open_source("drawn:count=40,seed=9,size=64")[EXPLAINED].image
    explained = explain(network, image, "layer5", run=named).images[0]
    save_picture(draw_explanation(explained), demo.pictures / "explained.png")
    _look_at(demo, open_lens(network, named, ["layer5"]), explained, seen)
    many = study.many
    levels = {
        "all units": study.levels[None, "none", 0],
        f"{many} most important removed": study.levels[None, "most", many],
        f"{many} random removed": study.levels[None, "random", many],
        f"only {many} most important kept": study.levels[None, "only", many],
    }
    figures = [(title, level.balanced.spell(".2f")) for title, level in levels.items()]
    return demo.write("removal", figures, images=images)


def _look_at(demo: Demo, lens: Lens, explained: ExplainedImage, source: us.ConceptSource) -> None:
    """The explained prediction under the microscope, without the concept that speaks most for it."""
    label = next((explained.labels[unit] for unit in explained.shown if unit in explained.labels), None)
    save_session(
        lens,
        {"a drawn scene": explained.image},
        demo.out / "removal" / "look.html",
        source=source,
        switches=[] if label is None else switch_concept(lens, label.id),
        cards=[("layer5", unit) for unit in explained.shown],
    )


def _name_in_sentences(demo: Demo) -> Chapter:
    """Units of the scene classifier by formulas over concepts, and by words of two small towers."""
    run, layer = us.load(demo.out / "true"), CLASSIFIER_LAYERS[-1]
    units = pick_units(run[layer], SENTENCES)
    demo.begin("sentences", units=len(units))
    source = us.open_source(f"drawn:count={demo.count},seed=3,size=64")
    found = us.find_formulas(run, layer, units=units, draws=SENTENCE_DRAWS)
    found.page(demo.out / "formulas", source=source)
    network = us.load_network("zoo:scene-classifier")
    # None: the words that the towers know.
    described = us.describe(
        *(network, source, [layer], None, "zoo:captioned"),
        top_k=min(SENTENCE_IMAGES, len(source)),
        run=run,
        draws=SENTENCE_DRAWS,
    )
    described.save(demo.out / "words")
    described.page(demo.out / "words", pictures=source)
    best = {row["unit"]: row["word"] for row in described.rows()}
    named = {one.unit: one for one in found[layer].units}
    rows = [
        replace(
            row,
            concept=found.spell(named[row.unit].name),
            word=f"word: {best[row.unit] or 'none'}",
            iou=fit_of(named[row.unit].name),
        )
        for row in draw_rows(run, source, layer, demo.pictures, "sentences", SENTENCES)
    ]
    rows.sort(key=lambda row: (not named[row.unit].earned, -row.iou))
    one = found[layer]
    figures = [
        ("units that earn a formula", f"{sum(unit.earned for unit in one.units)} of {len(one.units)}"),
        ("IoU held out, formulas", f"{one.mean(lambda unit: unit.held_out_name):.3f}"),
        ("IoU held out, best concept", f"{one.mean(lambda unit: unit.held_out_single):.3f}"),
        ("words above chance", f"{described[layer].discoveries} of {described[layer].units}"),
    ]
    return demo.write(
        "sentences", figures, {"Formula and word": rows[: SENTENCES // 2]}, words=len(described.words)
    )


def _dissect_directions(demo: Demo) -> Chapter:
    """A layer of the scene classifier in the latents of an autoencoder, beside one that was never trained."""
    demo.begin("directions", latents=LATENTS)
    network, layer = us.load_network("zoo:scene-classifier"), CLASSIFIER_LAYERS[-1]
    file, fitted = demo.out / "sae.safetensors", us.open_source(f"drawn:count={demo.count},seed=11,size=64")
    if not (demo.resume and file.exists()):
        fit_directions(
            network, layer, fitted, "topk-sae", LATENTS, k=FIRING, training=Training(FITTING_STEPS), out=file
        )
    layers = {
        "units": layer,
        "latents": f"{layer}+{file}",
        "latents, untrained": f"{layer}+random-sae:{LATENTS}:{FIRING}:0",
    }
    source = us.open_source(f"drawn:count={demo.count},seed=3,size=64")
    run = demo.dissect("directions", network, source, list(layers.values()))
    figures = [
        (f"best IoU, {title}", f"{_find_best(run[name]).mean():.3f}") for title, name in layers.items()
    ]
    alive = run[layers["latents"]].active > 0
    figures.append(("latents that fire", f"{int(alive.sum())} of {len(alive)}"))
    rows = draw_rows(run, source, layers["latents"], demo.pictures, "latents", 8)
    return demo.write("directions", figures, {"Latents": rows}, latents=LATENTS, firing=FIRING)


def _find_best(layer: us.LayerDissection) -> np.ndarray:
    """The IoU of the best unit of every concept that is there."""
    best: np.ndarray = layer.iou[:, layer.concept_pixels > 0].max(0)
    return best


def _dissect_generator(demo: Demo) -> Chapter:
    """The generator, named by the segmenter."""
    demo.begin("generator", count=demo.count)
    generator = us.load_network("zoo:generator")
    source = us.open_source(f"segmenter:zoo:segmenter,images=generator:zoo:generator,count={demo.count}")
    images = find_generated(source)
    assert isinstance(generator, us.Generator)
    assert images is not None
    run = demo.dissect("generator", images.generator, source, GENERATOR_LAYERS, "pnas")
    save_picture(draw_sheet(list(generator.generate(0, 40)), 10, 96), demo.pictures / "generated.png")
    unique = {layer: sum(run[layer].unique["label"].values()) for layer in GENERATOR_LAYERS}
    best = max(GENERATOR_LAYERS, key=lambda layer: unique[layer])
    figures = [(f"unique concepts, {layer}", str(found)) for layer, found in unique.items()]
    rows = draw_rows(run, source, best, demo.pictures, "generated", 8)
    return demo.write("generator", figures, {"Units that paint": rows}, layer=best)


def _paint_with_units(demo: Demo) -> Chapter:
    """The generator without some of its units, and with them set at one place."""
    images = max(demo.count // 4, 40)
    demo.begin("painters", images=images)
    studio = open_studio(us.load_network("zoo:generator"), us.load(demo.out / "generator"))
    erasure = study_erasure(studio, PAINTED, layer=PAINTING_LAYER, counts=(4, 20), images=images)
    placement = study_placement(
        studio,
        PAINTED,
        layer=PAINTING_LAYER,
        across=8,
        places=2,
        rule="quantile",  # high, so that it is seen
        images=images,
        least=images // 10,
    )
    for study, name in ((erasure, "erasure"), (placement, "insertion")):
        study.save(demo.out / name)
        study.page(demo.out / name)
    tree = erasure.targets[0]
    rows = [*paint_removal(erasure, tree), *paint_insertion(placement, tree)]
    save_sheet(draw_pairs(rows), demo.pictures / "painters.jpg")
    shares = {
        "% of tree pixels gone without 20 tree units": erasure.removed(tree, "iou", 20),
        "% gone without 20 random ones": erasure.removed(tree, "random", 20),
        "% more of a picture's tree pixels, set at one place": placement.trials[
            tree.concept.id, "iou"
        ].effect,
        "% more with random ones set there": placement.trials[tree.concept.id, "random"].effect,
    }
    figures = [(title, share.spell(times=100.0)) for title, share in shares.items()]
    return demo.write("painters", figures, images=images, layer=PAINTING_LAYER)


def _paint_given(demo: Demo) -> Chapter:
    """A scene that the generator did not make, brought into it and painted on."""
    demo.begin("given")
    studio = open_studio(us.load_network("zoo:generator"), us.load(demo.out / "generator"))
    [scene] = paint_given(studio, GIVEN[:1])
    save_sheet(draw_pairs([scene.pictures]), demo.pictures / "given.jpg")
    first, last = scene.inversion.fits[0], scene.inversion.fits[-1]
    figures = [
        ("PSNR, from the latent alone", f"{first.psnr:.1f} dB"),
        ("PSNR, with fitted units and maps", f"{last.psnr:.1f} dB"),
        ("pixels named as before", f"{last.named:.1%}"),
        ("% of the square that became tree", f"{100 * scene.drawn:.0f}"),
        ("% of tree pixels gone", f"{100 * scene.erased:.0f}"),
    ]
    return demo.write("given", figures)


def _dissect_pretrained(demo: Demo) -> Chapter:
    """A network trained on photographs, over drawn scenes."""
    count = max(2, demo.count // 2)
    demo.begin("pretrained", count=count)
    source = us.open_source(f"drawn:count={count},seed=3")
    run = demo.dissect("pretrained", us.load_network("efficientnet-lite0"), source, PRETRAINED_LAYERS)
    rows = draw_rows(run, source, "_conv_head", demo.pictures, "pretrained", 8)
    figures = [(f"detectors, {layer}", _count_detectors(run, layer)) for layer in PRETRAINED_LAYERS]
    return demo.write("pretrained", figures, {"Units of the last layer": rows})
