"""Where the layers of every architecture look: the probe over a small member of each family, weights random.

    python benchmarks/architectures.py [--only timm|transformers] [--families NAME ...] [--part 1/2] [--out FILE]
    python benchmarks/architectures.py --page

Families are the modules of timm and the vision models of transformers. Each is probed at its square input and
at one half as high, where it takes that; a layer that is called in place is looked at again by brute force
(`brute_force.py`). A row a family and input is added to FILE; rows that are there are not made again, so a run
that was stopped goes on, and several may write to one file. `--page` writes docs/architectures.md from it.
"""

import argparse
import csv
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

import timm
import torch
import transformers
from architecture_page import write_page
from brute_force import find_answers
from families import LARGER, Family, list_names, open_family
from torch import nn

from unitscope.networks.listing import LayerShape
from unitscope.networks.network import IMAGENET, Network, Preprocessing
from unitscope.networks.places import list_places
from unitscope.networks.tokens import Size, Tokens
from unitscope.networks.weights import count_class_tokens, one_line, random_weights

OUT = Path(__file__).parent / "architectures.csv"
SEED, DRAWS = 0, 4
SHAPES: tuple[Callable[[int], Size], ...] = (lambda side: (side, side)), (lambda side: (side // 2, side))
"""A square input, and one half as high."""
VERSIONS = f"timm {timm.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"


@dataclass(frozen=True)
class Row:
    """What was found of a family at an input: numbers of layers, names of layers, or why nothing was judged.

    `unread` are layers without maps. `against` are layers in place that brute force finds elsewhere, `missed`
    the number of those not in place that it finds in place.
    """

    library: str
    family: str
    member: str
    height: int
    width: int
    in_place: int = 0
    mixed: int = 0
    whole: int = 0
    silent: int = 0
    refused: int = 0
    unread: int = 0
    refused_layers: str = ""
    unread_layers: str = ""
    checked: int = 0
    against: str = ""
    missed: int = 0
    note: str = ""
    seconds: float = 0.0
    versions: str = VERSIONS
    date: str = ""


def judge(family: Family, size: Size) -> Row:
    """The row of a family at an input, also where it cannot be built or does not take it."""
    started = time.process_time()
    found: dict[str, object] = {}
    stage = "not built"
    try:
        with random_weights(SEED):
            module = family.build(size).eval()
        stage = "input not taken"
        network = wrap(module, size, family.member)
        rows = list_places(network, size)
        stage = "not checked"
        found = tell(rows) | check(network, rows, size)
    except Exception as error:  # one family's fault must not hide the others
        found = {"note": f"{stage}: {one_line(error, 160)}"}
    seconds = round(time.process_time() - started, 1)
    today = date.today().isoformat()
    return Row(family.library, family.name, family.member, *size, seconds=seconds, date=today, **found)


def wrap(module: nn.Module, size: Size, name: str) -> Network:
    """The network as it is opened by its library's name, with the number of tokens in front."""
    first = getattr(module, "num_prefix_tokens", None)
    registers = int(getattr(getattr(module, "config", None), "num_register_tokens", 0) or 0)
    if first is None and (count := count_class_tokens(module)):
        first = count + registers
    depth = getattr(getattr(module, "config", None), "num_channels", 3)
    three = IMAGENET if depth == 3 else ((0.5,), (0.25,))
    return Network(module, Preprocessing(size, *three), (), name, Tokens(first))


def tell(rows: Sequence[LayerShape]) -> dict[str, object]:
    """How many layers have which place; names of those refused and of those without maps."""
    places = Counter(row.place for row in rows if row.shape is not None)
    refused = [row for row in rows if row.place == "elsewhere"]
    unread = [row for row in rows if row.whole and (row.shape is None or not row.place)]
    return {
        "in_place": places["in place"],
        "mixed": places["mixed"],
        "whole": places["whole"],
        "silent": places["silent"],
        "refused": len(refused),
        "unread": len(unread),
        "refused_layers": gather(f"{row.name} [{row.raw}]" for row in refused),
        "unread_layers": gather(f"{row.kind}: {row.reason or 'another first axis for three images'}" for row in unread),
    }


def gather(texts: Iterator[str]) -> str:
    """Names with their numbers left out, and how many there are of each."""
    kinds = Counter(re.sub(r"(?<![A-Za-z\[ x])\d+(?=[.@\]]|\b(?! x))", "N", re.sub(r"#\d+", "", text)) for text in texts)
    return "; ".join(f"{name} ({count})" for name, count in kinds.most_common())


def check(network: Network, rows: Sequence[LayerShape], size: Size) -> dict[str, object]:
    """Which layers in place brute force finds elsewhere, in more draws where in doubt; how many others there."""
    placed = [row.name for row in rows if row.place == "in place"]
    others = [row.name for row in rows if row.place in ("mixed", "elsewhere")]
    answers = find_answers(network, [*placed, *others], size)
    doubtful = [name for name in placed if name not in answers or not answers[name].agrees]
    more = find_answers(network, doubtful, size, DRAWS) if doubtful else {}
    against = [
        f"{name} ({more[name].hits} of {more[name].told})" if name in more else f"{name} (unread)"
        for name in doubtful
        if name not in more or not more[name].agrees
    ]
    missed = sum(answers[name].hits >= 6 for name in others if name in answers)
    return {"checked": len(placed), "against": "; ".join(against), "missed": missed}


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a file, none where there is none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_row(path: Path, row: Row) -> None:
    """Writes a row at the end of a file, after a head where it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Row)], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(asdict(row))


def run(names: Sequence[tuple[str, str]], out: Path) -> None:
    """Adds the rows of families, and says how far that is."""
    started, made = time.monotonic(), 0
    for number, (library, name) in enumerate(names):
        there = Counter((row["library"], row["family"]) for row in read_rows(out))
        if there[library, name] >= 2:
            continue
        family = open_family(library, name)
        for shape in SHAPES[there[library, name] :]:
            row = judge(family, shape(family.side))
            if row.note and family.side < LARGER:
                row = judge(family, shape(LARGER))
            add_row(out, row)
            made += 1
            rate = made / (time.monotonic() - started)
            left = 2 * (len(names) - number) - 1
            ends = time.strftime("%H:%M", time.localtime(time.time() + left / rate))
            told = row.note or f"{row.in_place} in place, {row.mixed} mixed, {row.refused} refused; {row.against}"
            print(
                f"[{number + 1}/{len(names)}] {library} {name} {row.height} x {row.width}: {told[:100]}; {row.seconds} s; "
                f"{60 * rate:.1f} rows a minute, ends about {ends}",
                flush=True,
            )


def main() -> None:
    """Runs what was asked for, or writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["timm", "transformers"], help="one library alone")
    parser.add_argument("--families", nargs="*", default=[], help="these families alone")
    parser.add_argument("--part", default="1/1", help="every so manieth family: 1/2 and 2/2 are two halves")
    parser.add_argument("--out", type=Path, default=OUT, help="the rows")
    parser.add_argument("--page", action="store_true", help="write docs/architectures.md from the rows")
    given = parser.parse_args()
    if given.page:
        write_page(read_rows(given.out))
        return
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    libraries = [given.only] if given.only else ["timm", "transformers"]
    names = [(library, name) for library in libraries for name in list_names(library)]
    if unknown := set(given.families) - {name for _, name in names}:
        parser.error(f"no family {', '.join(sorted(unknown))}; there are {', '.join(name for _, name in names)}")
    names = [one for one in names if not given.families or one[1] in given.families]
    first, parts = map(int, given.part.split("/"))
    run(names[first - 1 :: parts], given.out)


if __name__ == "__main__":
    main()
