"""What the documentation shows is executed: Python sessions, command lines, help texts, tables.

In a page, in order and in one empty folder: a `pycon` block is a Python session and runs as a doctest;
a `python` block whose first line is `# NAME.py`, or a `json` or `toml` block under the line `NAME.json:`,
is written to that file; in a `console` block every line `$ unitscope ...` is run, and the lines under it,
where there are any, are what it prints; `$ pip install FOLDER` builds and installs a package beside the page.
"""

import contextlib
import doctest
import importlib
import importlib.util
import io
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from unitscope.cli import list_commands, main
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.interventions.inversion import Steps
from unitscope.interventions.painting import easel, photos
from unitscope.plugins import COMMANDS, list_names

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]
    if "_build" not in path.parts
    and re.search(r"^```(pycon|console)$", path.read_text("utf-8"), re.MULTILINE)
)
DATA = ("json", "toml")
INSTALLED = "installed"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
BUILD = """
import gc, sys
from sphinx.cmd.build import main
gc.set_threshold(100_000, 20, 20)
sys.exit(main())
"""
"""Sphinx, a third of whose time would go into looking for garbage, in vain."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int


def read_blocks(path: Path) -> list[Block]:
    page = path.read_text("utf-8")
    return [
        Block(match[1], match[2], page.count("\n", 0, match.start(2)) + 1) for match in BLOCK.finditer(page)
    ]


def run_session(block: Block, names: dict[str, object], path: Path) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, names, path.name, str(path), block.line - 1)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=report.write, clear_globs=False)
    names.update(test.globs)
    assert runner.failures == 0, report.getvalue()


def run_console(block: Block, path: Path) -> None:
    for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
        program, *arguments = shlex.split(command, comments=True)
        assert program == "unitscope" or arguments[:1] == ["install"], f"{path.name}, line {block.line}"
        status, printed = call(arguments) if program == "unitscope" else install(arguments[1])
        assert status == 0, f"{path.name}, line {block.line}: {command} ended with {status}: {printed}"
        if wanted.strip():
            same = doctest.OutputChecker().check_output(wanted, printed, FLAGS)
            assert same, f"{path.name}, line {block.line}: {command} printed\n{printed}"


def call(arguments: list[str]) -> tuple[int, str]:
    """The exit status of the command line and what it printed."""
    printed, complaints, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaints):
        try:
            status = main(arguments) or 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return status, printed.getvalue() or complaints.getvalue()


def install(folder: str) -> tuple[int, str]:
    """Builds and installs a package into a folder of the page; nothing is fetched, the environment stays."""
    alone = ["--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--target", INSTALLED]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *alone]
    done = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    importlib.invalidate_caches()
    brought = {place.stem for place in Path(INSTALLED).iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in brought]:
        del sys.modules[name]  # another page's, or another test's, of the same name
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page_does_what_it_shows(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / INSTALLED)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    # A picture is fitted in every stage; in how many steps no page shows.
    monkeypatch.setattr(photos, "invert_picture", partial(photos.invert_picture, steps=Steps(4, 4, 4)))
    # Every paint is tried; in how many pictures no page shows.
    monkeypatch.setattr(easel, "try_paints", partial(easel.try_paints, images=1, shown=easel.BLOCK))
    names: dict[str, object] = {"__name__": "__main__"}
    page = path.read_text("utf-8").splitlines()
    for block in read_blocks(path):
        above = page[block.line - 4] if block.line > 3 else ""
        own_name = re.match(r"# (\S+\.py)\n", block.text) if block.language == "python" else None
        outer_name = re.search(rf"`(\S+\.{block.language})`:$", above) if block.language in DATA else None
        if name := own_name or outer_name:
            (tmp_path / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name[1]).write_text(block.text, "utf-8")
            monkeypatch.delitem(sys.modules, Path(name[1]).stem, raising=False)
        elif block.language == "pycon":
            run_session(block, names, path)
        elif block.language == "console":
            run_console(block, path)


def test_command_line_page_is_the_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "others-1.0.dist-info"  # what another package brings is not on the page
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[unitscope.commands]\nother = others:OTHER\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "other" in list_names(COMMANDS)
    place = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert place is not None
    assert place.loader is not None
    generate = importlib.util.module_from_spec(place)
    place.loader.exec_module(generate)
    written = (DOCS / "cli.md").read_text("utf-8")
    assert written == generate.cli_page(), "run: .venv/bin/python docs/generate.py"


def test_the_manual_names_every_command() -> None:
    manual = set(re.findall(r"^## (.*)$", (DOCS / "cli.md").read_text("utf-8"), re.MULTILINE))
    commands = list_commands()
    others = {words for words, it in commands.items() if it.origin and "'unitscope'" not in it.origin}
    assert manual == {words for words in commands if words.split()[0] not in others}


def test_theory_states_every_convention() -> None:
    theory = (DOCS / "theory.md").read_text("utf-8")
    for it in CONVENTIONS.values():
        cutoffs = f"IoU > {it.iou_cutoff}" + (f", IQR > {it.iqr_cutoff}" if it.iqr_cutoff else "")
        cells = [f"`{it.name}`", it.quantile, it.population, it.upsampling, it.union, it.doubles]
        cells += [f"input / {it.reduction}", cutoffs, it.unique_rule]
        row = "| " + " | ".join(map(str, cells)) + " |"
        assert row in theory, row
    rows = re.findall(r"^\| `", theory.split("## Conventions")[1], re.MULTILINE)
    assert len(rows) == len(CONVENTIONS)


def test_every_page_can_be_reached() -> None:
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    pages = {page for page in pages if not page.startswith("_")}  # parts of pages, and what was built
    listed = {"index"}
    for path in DOCS.rglob("index.md"):
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
            lines = [line for line in tree.splitlines() if line and not line.startswith(":")]
            listed |= {(path.parent / line).relative_to(DOCS).as_posix() for line in lines}
    assert pages == listed


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) + re.findall(r'(?:src|href)="([^"#]+)', text):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD, "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", tmp_path / "trees", DOCS, tmp_path / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
