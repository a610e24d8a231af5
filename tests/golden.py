"""What every command writes, recorded in a folder, and two such folders held against each other.

    python tests/golden.py record FOLDER [NAME ...]   # runs the commands with the unitscope that Python finds
    python tests/golden.py compare FOLDER FOLDER      # 0 where every table has the same bytes

`PYTHONPATH=OTHER/CHECKOUT/src` records another version. Columns of seconds are left out of the comparison.
"""

import csv
import shlex
import subprocess
import sys
from pathlib import Path

ZOO = "zoo:scene-classifier --layer layer5"
SCENES = "--images drawn:count=96,seed=4,size=64"
COMMANDS = {
    "demo": "demo --out demo",
    "study": "study all --quick --jobs 1 --kept study",
    "grade": "study grade --quick --out grade",
    "labels": "study labels --quick --out labels",
    "depth": "study depth --quick --out depth",
    "layers": "study layers --quick --network zoo:scene-classifier --layers layer4 layer5 --out layers",
    "axis": "study axis --quick --network zoo:scene-classifier --layers layer5 layer4 --out axis",
    "classifier": "dissect zoo:scene-classifier --layers layer4 layer5 --no-report --shifts 20 "
    "--concepts drawn:count=96,seed=3,size=64 --out classifier",
    "generator": "dissect zoo:generator --layers layer2 layer3 --no-report --shifts 20 --convention pnas "
    "--concepts segmenter:zoo:segmenter,count=64 --out generator",
    "compare": "compare classifier generator --out compared",
    "show": "show classifier --json",
    "list": "layers zoo:scene-classifier",
    "ablate": f"ablate {ZOO} --images drawn:count=300,seed=4,size=64 --run classifier "
    "--classes street garden --counts 3 40 --out ablate",
    "explain": f"explain {ZOO} drawn:count=4,seed=9,size=64#1 --run classifier --out explain --json",
    "attack": f"attack {ZOO} {SCENES} --run classifier --targets kitchen beach --count 2 --steps 4 "
    "--out attack",
    "detect": f"detect {ZOO} --concept sky {SCENES} --top 3 --share 0.05 --out detect",
    "erase": "erase zoo:generator --run generator --concepts tree@layer2 sky --images 24 --draws 3 "
    "--counts 2 8 --optimize --steps 4 --out erase",
    "insert": "insert zoo:generator --run generator --concepts tree@layer2 --images 24 --places 2 --units 4 "
    "--least 5 --across 8 --draws 3 --out insert",
    "head": "zoo head zoo:scene-classifier --images drawn:count=300,seed=5,size=64 --json "
    "--out head.safetensors",
    "check": "concepts check drawn:count=12,size=64",
    "unite": "concepts unite drawn:count=40,size=64 --out united",
}


def record(folder: Path, names: list[str]) -> None:
    """Runs the commands in the folder, one after the other; what they print is in NAME.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or COMMANDS:
        words = [sys.executable, "-m", "unitscope", *shlex.split(COMMANDS[name])]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        (folder / f"{name}.txt").write_text(done.stdout)
        print(
            f"{name}: {done.returncode} {done.stderr.strip()[-200:] if done.returncode else ''}", flush=True
        )


def differences(one: Path, other: Path) -> list[str]:
    """The tables that are not the same in two folders, or stand in only one of them."""
    kinds = ("csv", "txt", "safetensors", "png", "jpg")
    files = {
        path.relative_to(home) for home in (one, other) for kind in kinds for path in home.rglob(f"*.{kind}")
    }
    return [str(file) for file in sorted(files) if _read(one / file) != _read(other / file)]


def _read(path: Path) -> object:
    if not path.is_file():
        return None
    if path.suffix != ".csv":
        return path.read_bytes()
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    kept = [place for place, name in enumerate(head) if name != "seconds"]
    return [[row[place] for place in kept] for row in (head, *rows)]


if __name__ == "__main__":
    what, place, *more = sys.argv[1:]
    if what == "record":
        record(Path(place), more)
    else:
        found = differences(Path(place), Path(more[0]))
        print("\n".join(found) or "the same")
        sys.exit(bool(found))
