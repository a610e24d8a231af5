"""The command that serves the live microscope."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

import unitscope as us
from unitscope.cli.words import Address, Again, Device, Network, Opening, find_device
from unitscope.errors import SourceError, UsageError

if TYPE_CHECKING:
    from unitscope.dissection.result import Dissection
    from unitscope.interventions.looking.lens import NameKind, OtherName


def look(
    network: Network,
    run: Annotated[Path, arg(metavar="RUN")],
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (),
    images: Annotated[str | None, arg(metavar="SOURCE")] = None,
    concepts: Again = None,
    formulas: Annotated[Path | None, arg(metavar="FILE")] = None,
    words: Annotated[Path | None, arg(metavar="FILE")] = None,
    device: Device = "cpu",
    address: Address = Address(port=8768),
    opening: Opening = Opening(),
) -> None:
    """Look through the units of a classifier at a picture, in the browser.

    Serves a local page: put a picture under it, see which units fire, where, and what each adds to the
    prediction; switch units or concepts off or up and watch the probabilities; compare two pictures; attack
    one. Pictures stay in the browser and in this program's memory. Ctrl-C ends it.

    Args:
        network: a classifier.
        run: its dissection, which names the units and has their thresholds.
        layers: only these layers of the run; by default all.
        images: pictures to choose from, instead of those of the run.
        formulas: names by formulas, the formulas.csv that `unitscope formulas RUN --out DIR` wrote.
        words: names by words, the words.csv that `unitscope describe NETWORK --out DIR` wrote.
    """
    from unitscope.dissection import reopen_source
    from unitscope.interventions import open_lens
    from unitscope.views.serving import serve_looking

    found, loaded = us.load(run), opening.load(network)
    loaded.module.to(find_device(device))
    files: dict[NameKind, Path | None] = {"formula": formulas, "word": words}
    names = {kind: _read_names(path, found) for kind, path in files.items() if path is not None}
    lens = open_lens(loaded, found, layers or None, names=names)
    for why in lens.left_out.values():
        print(f"left out: {why}")
    chosen = None if images is None else us.open_source(images)
    source, lack = None, None
    try:
        source = reopen_source(found, concepts, loaded)
    except (SourceError, UsageError) as error:
        if concepts is not None:
            raise
        lack = str(error)
        print(f"no top images: {lack}")
    serve_looking(lens, source, images=chosen, lack=lack, **vars(address))


def _read_names(path: Path, run: "Dissection") -> "dict[str, dict[int, OtherName]]":
    """Other names of units, by layer and unit."""
    from unitscope.experiments.name_lists import read_names
    from unitscope.interventions.looking.lens import OtherName

    names: dict[str, dict[int, OtherName]] = {}
    for one in read_names(path).names:
        if one.layer is None and len(run.layers) > 1:
            raise UsageError(f"{one.where}: the layer is missing; the run has {', '.join(run)}")
        named = OtherName(one.name, one.iou, one.score, one.q_value)
        names.setdefault(one.layer or next(iter(run)), {})[one.unit] = named
    if not set(names) & set(run):
        raise UsageError(f"{path} names units of {', '.join(names)}; the run has {', '.join(run)}")
    return names
