"""Where the layers of every architecture look: the probe over a small member of each family, weights random.

    python benchmarks/architectures.py [--only timm|transformers] [--families NAME ...] [--part 1/2]
    python benchmarks/architectures.py --page

Families are the modules of timm and the vision models of transformers. Each is probed at a square input and
at one twice as wide as high, where it takes that; a layer that is called in place is looked at again by brute
force (`brute_force.py`). A row a family and input is added to `--out`; rows that are there are not made
again, so a run that was stopped goes on, and several may write to one file. `--page` writes
docs/architectures.md.
"""

import argparse
import csv
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

import timm
import torch
import transformers
from architecture_page import write_page
from brute_force import FOLLOWS, find_answers
from families import Family, list_inputs, list_names, open_family
from torch import nn

from unitscope.networks.listing import LayerShape
from unitscope.networks.network import IMAGENET, Network, Preprocessing
from unitscope.networks.probe import list_places
from unitscope.networks.tokens import Size, Tokens
from unitscope.networks.weights import count_class_tokens, one_line, random_weights

OUT = Path(__file__).parent / "architectures.csv"
SEED, DRAWS = 0, 4
VERSIONS = f"timm {timm.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"


@dataclass(frozen=True)
class Row:
    """What was found of a family at an input: numbers of layers, names of layers, or why nothing was judged.

    `unread` are layers without maps. Of the layers in place `checked` were told by brute force, `untold`
    answer to too few of its patches, `against` are those that it finds elsewhere; `missed` is the number
    of layers
    mixed or refused that it finds in place.
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
    untold: str = ""
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
        "unread_layers": gather(
            f"{row.kind}: {row.reason or 'another first axis for three images'}" for row in unread
        ),
    }


def gather(texts: Iterable[str]) -> str:
    """Names with their numbers left out, and how many there are of each."""
    kinds = Counter(
        re.sub(r"(?<![A-Za-z\[ x])\d+(?=[.@\]]|\b(?! x))", "N", re.sub(r"#\d+", "", text)) for text in texts
    )
    return "; ".join(f"{name} ({count})" for name, count in kinds.most_common())


def check(network: Network, rows: Sequence[LayerShape], size: Size) -> dict[str, object]:
    """Which layers in place brute force finds elsewhere, in more draws where in doubt; how many others."""
    placed = [row.name for row in rows if row.place == "in place"]
    others = [row.name for row in rows if row.place in ("mixed", "elsewhere")]
    answers = find_answers(network, [*placed, *others], size)
    doubtful = [
        name for name in placed if not (name in answers and answers[name].tells and answers[name].agrees)
    ]
    more = find_answers(network, doubtful, size, DRAWS) if doubtful else {}
    untold = [name for name in doubtful if name not in more or not more[name].tells]
    against = [
        f"{name} ({more[name].hits} of {more[name].told}, {more[name].follows:.2f})"
        for name in doubtful
        if name not in untold and not more[name].agrees
    ]
    found = [answers[name] for name in others if name in answers]
    missed = sum(one.tells and one.hits >= 6 and one.follows >= FOLLOWS for one in found)
    checked = len(placed) - len(untold)
    return {"checked": checked, "untold": gather(untold), "against": "; ".join(against), "missed": missed}


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
        for sizes in list_inputs(family)[there[library, name] :]:
            row = judge(family, sizes[0])
            for size in sizes[1:]:
                row = judge(family, size) if row.note else row
            add_row(out, row)
            made += 1
            rate = made / (time.monotonic() - started)
            left = 2 * (len(names) - number) - 1
            ends = time.strftime("%H:%M", time.localtime(time.time() + left / rate))
            told = (
                row.note
                or f"{row.in_place} in place, {row.mixed} mixed, {row.refused} refused; {row.against}"
            )
            print(
                f"[{number + 1}/{len(names)}] {library} {name} {row.height} x {row.width}: {told[:100]}; "
                f"{row.seconds} s; {60 * rate:.1f} rows a minute, ends about {ends}",
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
        parser.error(
            f"no family {', '.join(sorted(unknown))}; there are {', '.join(name for _, name in names)}"
        )
    names = [one for one in names if not given.families or one[1] in given.families]
    first, parts = map(int, given.part.split("/"))
    run(names[first - 1 :: parts], given.out)


if __name__ == "__main__":
    main()
