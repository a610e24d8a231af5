"""Commands that ask people about units, and say what came of it."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.words import Address, Again, Json, Run, show
from unitscope.errors import UsageError


def rate(
    run: Run,
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (),
    units: int = 32,
    repeats: int = 8,
    decoys: int = 8,
    images: int = 9,
    seed: int = 0,
    out: Path | None = None,
    concepts: Again = None,
    address: Address = Address(port=8766),
) -> None:
    """Ask people, in the browser, whether units are what their labels say.

    Serves a local page that shows a unit's top images and its label: does it describe them? Keys: y, n, u to
    undo. Every answer is kept at once; `unitscope ratings RUN` says what came of them. Ctrl-C ends it, and
    the same command goes on.

    Args:
        run: a run whose images are still in place.
        layers: only units of these layers; by default all of the run.
        units: how many units are asked about, at random, as many of each layer, half of them detectors; 0 for
            all.
        repeats: how many of the questions are asked again later.
        decoys: how many units are also shown with a label that surely does not fit.
        images: top images a question, as far as the run has them.
        seed: draws units, repeats, decoys and every rater's order.
        out: folder of questions and answers, RUN/ratings by default.
    """
    from unitscope.dissection import reopen_source
    from unitscope.experiments import draw_questions
    from unitscope.views.serving import serve_rating

    if units < 0:
        raise UsageError(f"--units is {units}; wanted 1 or more, or 0 for all")
    found = us.load(run)
    asked = draw_questions(
        found,
        layers=layers or None,
        units=units or None,
        repeats=repeats,
        decoys=decoys,
        images=images,
        seed=seed,
    )
    source = reopen_source(found, concepts)
    serve_rating(found, source, asked, out or run / "ratings", **vars(address))


def ratings(
    run: Annotated[
        Positional[Path], arg(help="a run that was rated, or the folder of its ratings", metavar="RUN")
    ],
    without: Annotated[tuple[str, ...], arg(metavar="RATER [RATER ...]")] = (),
    cutoffs: tuple[float, ...] = (0.02, 0.04, 0.06, 0.08, 0.1),
    draws: int = 1000,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Print what raters said: agreement with the dissection, with one another, and with themselves.

    Writes layers.csv, raters.csv, agreement.csv and ratings.csv into the folder of the ratings.

    Args:
        without: leave these raters out; by default all count, also those that are flagged.
        cutoffs: the share of yes is given for units with an IoU above each of these.
        draws: bootstrap draws of the units for the intervals.
        seed: seed of the draws.
    """
    from unitscope.experiments import read_ratings
    from unitscope.experiments.ratings import find_folder

    result = read_ratings(run, without=without, cutoffs=cutoffs, draws=draws, seed=seed)
    folder = result.save(find_folder(run))
    tables = ", ".join(str(folder / name) for name in result.files)
    show(result, json, *([] if json else [f"tables: {tables}"]))
