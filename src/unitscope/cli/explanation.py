"""The command that explains single predictions."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tqdm import tqdm
from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.parsing import Command
from unitscope.cli.words import Flag, Network, check_out, find_device, print_json
from unitscope.errors import UsageError

if TYPE_CHECKING:
    from unitscope.axes import Pixels
    from unitscope.interventions.explanation import Explanation
    from unitscope.views.explanation_text import Exhibit

Images = Annotated[
    Positional[tuple[str, ...]],
    arg(
        metavar="[IMAGE ...]", help="a picture's file, or SOURCE#INDEX: an image of a source, counted from 0"
    ),
]


def explain(
    network: Network,
    images: Images = (),
    layer: str | None = None,
    run: Annotated[Path | None, arg(metavar="RUN")] = None,
    target: Annotated[str | None, arg(name="class", metavar="CLASS")] = None,
    units: int = 6,
    exact: Flag = False,
    deletion: Annotated[str | None, arg(metavar="SOURCE")] = None,
    draws: int = 10,
    seed: int = 0,
    weights: Path | None = None,
    device: str = "cpu",
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Flag = False,
) -> None:
    """Explain predictions: which units of a layer speak for a class, and where in the image.

    Args:
        network: the classifier.
        images: the images to explain.
        layer: the layer whose units explain; by default that of the run, or the last one with maps.
        run: a dissection of this network and layer, for the units' labels.
        target: the class explained, a name or a number, instead of the predicted one.
        units: how many units are shown.
        exact: refuse a layer whose units do not reach a last linear layer one by one.
        deletion: remove top contributors, and random units, from all images of this source.
        draws: random draws an image in the deletion test.
        seed: seed of these draws and of the bootstrap.
        weights: a safetensors file or a state dict; nothing in it is executed.
        device: cpu, cuda, cuda:1, ...
        out: also write explanation.png (or -1, -2, ...), explanation.json, deletion.csv and deletion.svg.
        json: print JSON instead of tables.
    """
    from unitscope.interventions.deletion import measure_deletion
    from unitscope.views import explanation_text as text

    if not (images or deletion):
        raise UsageError("no image was named; give a file or SOURCE#INDEX, or --deletion SOURCE")
    if units < 1:
        raise UsageError(f"--units is {units}; show 1 or more")
    if out is not None:
        check_out(out)
    loaded = us.load_network(network, weights=weights)
    source = None if deletion is None else us.open_source(deletion)
    pictures = [_open_image(name, loaded) for name in images]
    layer, labels = _choose_layer(loaded, layer, run, pictures[0][0] if pictures else None)
    loaded.module.to(find_device(device))
    named = list(zip(images, pictures, strict=True))
    exhibits = [
        text.Exhibit(name, pixels, _explain(loaded, layer, pixels, target, exact), labels, truth, units)
        for name, (pixels, truth) in tqdm(named, "explaining", unit="image", disable=None)
    ]
    shown = [text.show_explanation(exhibit) for exhibit in exhibits]
    told: dict[str, object] = {"schema": text.SCHEMA}
    told["explanations"] = [text.describe_explanation(exhibit) for exhibit in exhibits]
    files = [] if out is None or not exhibits else _write_sheets(exhibits, out)
    if source is not None:
        test = measure_deletion(loaded, layer, source, draws=draws, seed=seed, exact=exact)
        rows = test.rows(seed=seed)
        shown.append(text.show_deletion(test, rows))
        told["deletion"] = text.describe_deletion(test, rows)
        files += [] if out is None else [text.write_deletion(rows, out)]
    if out is not None:
        text.write_json(told, out / "explanation.json")
    if json:
        print_json(told)
    else:
        print("\n\n".join(shown))
    for file in files:
        print(
            f"{'figure' if file.suffix == '.svg' else 'picture'}: {file}",
            file=sys.stderr if json else sys.stdout,
        )


def _open_image(name: str, network: "us.Network") -> "tuple[Pixels, int | None]":
    """The pixels of an image, and its class where its source tells one that the network has."""
    from unitscope.concepts.formats.pictures import read_image
    from unitscope.interventions.classes import match_classes

    spec, sign, place = name.rpartition("#")
    if Path(name).is_file() or not sign:
        if not Path(name).exists():
            raise UsageError(f"there is no file {name}; wanted a picture, or SOURCE#INDEX such as drawn#3")
        return read_image(Path(name)), None
    source = us.open_source(spec)
    if not (place.isascii() and place.isdigit() and int(place) < len(source)):
        raise UsageError(f"{spec} has images 0 to {len(source) - 1}, not {place or 'nothing'}")
    example, classes = source[int(place)], match_classes(network, source.vocabulary)
    found = {classes[one] for one in example.ids if one in classes}
    return example.image, found.pop() if len(found) == 1 else None


def _choose_layer(
    network: "us.Network", layer: str | None, run: Path | None, pixels: "Pixels | None"
) -> "tuple[str, Mapping[int, us.Concept]]":
    """The layer, and the labels that a run gives its detectors."""
    from unitscope.dissection.matching import check_network
    from unitscope.interventions.explanation import find_last_layer, fix_size
    from unitscope.views.terminal import choose_layers

    if run is None:
        sized = network if pixels is None else fix_size(network, pixels)
        return layer or find_last_layer(sized), {}
    found = us.load(run)
    check_network(found, network)
    layers = choose_layers(found, layer, None)
    if len(layers) > 1:
        raise UsageError(f"{run} holds the layers {', '.join(found)}; choose one with --layer")
    return layers[0].layer, {
        unit.unit: unit.concept for unit in layers[0] if unit.detector and unit.concept is not None
    }


def _explain(
    network: "us.Network", layer: str, pixels: "Pixels", target: str | None, exact: bool
) -> "Explanation":
    from unitscope.interventions.classes import find_class
    from unitscope.interventions.explanation import explain_image

    number = None if target is None else find_class(network, target)
    return explain_image(network, layer, pixels, target=number, exact=exact)


def _write_sheets(exhibits: "Sequence[Exhibit]", out: Path) -> list[Path]:
    from unitscope.views.drawing import save_picture
    from unitscope.views.explanation_sheet import draw_explanation

    many = len(exhibits) > 1
    files = [out / f"explanation{f'-{place}' if many else ''}.png" for place in range(1, len(exhibits) + 1)]
    for exhibit, file in zip(exhibits, files, strict=True):
        save_picture(draw_explanation(exhibit), file)
    return files


EXPLANATION: dict[str, Command] = {"explain": explain}
