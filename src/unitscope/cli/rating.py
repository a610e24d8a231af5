"""Commands that ask people about units, and tell what they said."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.parsing import Command
from unitscope.cli.serving import bind, needing_servers, serve
from unitscope.cli.words import Flag, Run, print_json
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
    host: str = "127.0.0.1",
    port: int = 8766,
) -> None:
    """Ask people, in the browser, whether units are what their labels say.

    Serves a local page that shows a unit's top images and its label: does it describe them? Keys: y, n, u to
    undo. Every answer is kept at once; `unitscope ratings RUN` tells what came of them. Ctrl-C ends it, and
    the same command goes on.

    Args:
        run: a run whose images are still in place.
        layers: only units of these layers; by default all of the run.
        units: how many units are asked about, by lot, as many of each layer, half of them detectors; 0 for
            all.
        repeats: how many of the questions are asked again later.
        decoys: how many units are also shown with a label that surely does not fit.
        images: top images a question, as far as the run has them.
        seed: draws units, repeats, decoys and every rater's order.
        out: folder of questions and answers, RUN/ratings by default.
        host: the address to serve at; others than 127.0.0.1 let other machines in, and nobody is asked who
            they are.
        port: the port to serve at; 0 takes a free one.
    """
    with needing_servers("rating"):
        from unitscope.views.rating.rating_session import open_booth
        from unitscope.views.rating.server import make_app
    from unitscope.experiments.questionnaire import draw_questions

    with bind(host, port) as bound:
        found = us.load(run)
        if units < 0:
            raise UsageError(f"--units is {units}; wanted 1 or more, or 0 for all")
        asked = draw_questions(
            found,
            layers=layers or None,
            units=units or None,
            repeats=repeats,
            decoys=decoys,
            images=images,
            seed=seed,
        )
        folder = out or run / "ratings"
        booth = open_booth(found, us.open_source(found.source), asked, folder)
        print(f"{len(asked)} questions, answers in {folder}")
        serve(make_app(booth, host), bound, host, "rate")


def ratings(
    run: Annotated[
        Positional[Path], arg(help="a run that was rated, or the folder of its ratings", metavar="RUN")
    ],
    without: Annotated[tuple[str, ...], arg(metavar="RATER [RATER ...]")] = (),
    cutoffs: tuple[float, ...] = (0.02, 0.04, 0.06, 0.08, 0.1),
    draws: int = 1000,
    seed: int = 0,
    json: Flag = False,
) -> None:
    """Tell what raters said: agreement with the dissection, with one another, and with themselves.

    Writes layers.csv, raters.csv, agreement.csv and ratings.csv into the folder of the ratings.

    Args:
        run: a run that was rated, or the folder of its ratings.
        without: leave these raters out; by default all count, also those that are flagged.
        cutoffs: the share of yes is told for units with an IoU above each of these.
        draws: bootstrap draws of the units for the intervals.
        seed: seed of the draws.
        json: print JSON instead of tables.
    """
    from unitscope.experiments.raters import measure_ratings
    from unitscope.experiments.rating_tables import write_ratings
    from unitscope.experiments.ratings import find_folder, load_ratings
    from unitscope.views.ratings import describe_ratings, show_ratings

    if draws < 1:
        raise UsageError(f"--draws is {draws}; wanted 1 or more")
    folder = find_folder(run)
    asked, answers = load_ratings(folder)
    if unknown := [name for name in without if name not in answers]:
        raise UsageError(f"nobody named {unknown[0]!r} has answered; those who have: {', '.join(answers)}")
    kept = {rater: given for rater, given in answers.items() if rater not in without}
    result = measure_ratings(asked, kept, cutoffs=cutoffs, draws=draws, seed=seed)
    written = write_ratings(asked, kept, result, folder)
    if json:
        print_json(describe_ratings(asked, result))
    else:
        print(show_ratings(asked, result))
        print(f"tables: {', '.join(map(str, written))}")


RATING: dict[str, Command] = {"rate": rate, "ratings": ratings}
