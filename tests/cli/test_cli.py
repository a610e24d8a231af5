"""The command line: its words, its help, its JSON, and the ways to dissect."""

import argparse
import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import unitscope
from commands import DRAWN, assert_refused, dissect, write_folder, write_networks
from unitscope.cli import CHAPTERS, list_commands, main
from unitscope.cli.words import print_json
from unitscope.dissection.storage import load
from unitscope.networks.load import load_network

COMMANDS = list_commands()
GROUPS = [words for words, command in COMMANDS.items() if isinstance(command.run, dict)]


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """All tests run in one folder that holds net.py and the run `first`."""
    folder = write_networks(tmp_path_factory.mktemp("cli"))
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert dissect(layers="1 2", out="first") == 0
        yield folder
    torch.set_num_threads(threads)


@pytest.mark.parametrize("command", [words for words in COMMANDS if words not in GROUPS])
def test_every_option_of_every_command_is_described(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    said = capsys.readouterr().out
    entries: list[list[str]] = []
    for line in said.splitlines():
        if line[:2] in ("│ ", "  "):
            option, _, text = line[2:].rstrip("│ ").partition("  ")
            if not option.strip("─-") and option:  # under what is said about a group of options
                entries.pop()
                continue
            if option:
                entries.append([option, ""])
            entries[-1][1] += text.strip()
    assert len(entries) > 1
    for option, text in entries:
        described = text.partition("(default:")[0].partition("(required)")[0]
        assert len(described.strip()) > 3, option


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_the_menus_have_a_line_for_every_command(group, capsys):
    assert main([*group.split(), "--help"]) == 0
    printed = capsys.readouterr()
    listed = [line.split(maxsplit=1) for line in printed.out.splitlines() if line.startswith("  ")]
    wanted = [words.split()[-1] for words in COMMANDS if words.rpartition(" ")[0] == group]
    assert sorted(name for name, _ in listed) == sorted(wanted)
    assert all(0 < len(line) < 66 for _, line in listed)
    assert not printed.err


def test_the_commands_stand_in_chapters(capsys):
    assert main(["--help"]) == 0
    chapters = [line for line in capsys.readouterr().out.splitlines() if line.endswith(":")]
    assert chapters == [f"{chapter}:" for chapter in CHAPTERS]


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{unitscope.__version__}\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("", ["needs a command", "dissect", "unitscope --help"]),
        ("concepts", ["needs a command", "unite", "unitscope concepts --help"]),
        ("study", ["needs a command", "width", "unitscope study --help"]),
        ("dissec x", ["no command 'dissec'", "near names: dissect", "unitscope --help"]),
        ("concepts chek x", ["no command 'chek'", "near names: check", "unitscope concepts --help"]),
        ("--jsn", ["no command '--jsn'", "unitscope --help"]),
        ("dissect", ["NETWORK", "--layers", "--concepts", "--out", "unitscope dissect --help"]),
        ("show", ["RUN"]),
        ("show first --jsn", ["--jsn", "--json"]),
        ("show first --limit x", ["--limit", "'x'"]),
        ("compare", ["no run was named"]),
    ],
)
def test_wrong_words_are_told_in_one_line(words, parts, capsys):
    assert_refused(main(words.split()), capsys, *parts, wanted=2)


@pytest.mark.parametrize(
    ("option", "part"),
    [
        ("--convention pna", "'pnas'"),
        ("--fit shrink", "'crop'"),
        ("--device toaster", "'toaster'"),
        ("--device meta", "use --device cpu"),
        ("--quantile 2", "between 0 and 1"),
        ("--quantile nan", "between 0 and 1"),
        ("--quantile half", "--quantile"),
        ("--limit 0", "wanted 1 or more"),
        ("--batch-size 0", "1 or more"),
        ("--images-per-unit 0", "1 or more"),
        ("--threads 0", "at least 1"),
        ("--size 0", "above 0"),
        ("--memory nan", "--memory"),
        ("--memory -1", "--memory"),
        ("--shifts -1", "0 or more"),
        ("--null-images 15", "16 or more"),
        ("--seed -1", "0 or more"),
        ("--shuffle-labels -1", "0 or more"),
        ("--random-weights -1", "seed"),
        ("--weights gone.pt", "no weights file gone.pt"),
    ],
)
def test_impossible_options_are_wrong_usage(option, part, place, capsys):
    assert_refused(dissect("small", "1", DRAWN, "refused", *option.split()), capsys, part, wanted=2)
    assert not (place / "refused").exists()


@pytest.mark.parametrize(
    ("table", "part", "wanted"),
    [
        (None, "cannot read", 1),
        ("a,b\n1,2\n", "no column layer", 1),
        ("layer,unit,threshold\n", "no rows", 1),
        ("layer,unit,threshold\n1,0,x\n", "line 2", 1),
        ("layer,unit,threshold\n1,0,nan\n", "line 2", 1),
        ("layer,unit,threshold\n1,1,0.5\n", "units of layer 1", 1),
        ("layer,unit,threshold\n1,0,0.5\n", "1 thresholds", 2),
        ("layer,unit,threshold\n3,0,0.5\n", "do not cover layer 1", 2),
    ],
)
def test_thresholds_that_do_not_fit_are_told(table, part, wanted, tmp_path, place, capsys):
    path = tmp_path / "thresholds.csv"
    if table is not None:
        path.write_text(table)
    status = dissect("small", "1", DRAWN, "refused", "--thresholds", str(path))
    assert_refused(status, capsys, part, wanted=wanted)
    assert not (place / "refused").exists()


@pytest.mark.parametrize(
    "words",
    [
        "layers net.py:small",
        "show first",
        "show first --layer 1 --unit 0",
        "show first --concept grass",
        "compare first",
        "compare first first",
        f"concepts check {DRAWN}",
    ],
)
def test_json_parses(words, capsys):
    assert main([*words.split(), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)
    assert not said.err


def test_compare_writes_a_page_beside_its_json(tmp_path, capsys):
    assert main(["compare", "first", "--json", "--out", str(tmp_path / "page")]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)
    assert (tmp_path / "page" / "index.html").is_file()


def test_layers_lists_shapes(capsys):
    assert main(["layers", "net.py:small", "--size", "32"]) == 0
    assert "8 x 8 x 8" in capsys.readouterr().out


def test_layers_need_no_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert main(["layers", "torchvision:squeezenet1_1", "--size", "64"]) == 0
    said = capsys.readouterr()
    assert "features.3" in said.out
    assert said.err == (
        "unitscope: the weights of torchvision:squeezenet1_1 are not on this machine; "
        "listed with random weights\n"
    )
    assert main(["layers", "torchvision:squeezenet1_1", "--size", "64", "--random-weights", "0"]) == 0
    assert capsys.readouterr() == (said.out, "")


def test_layers_take_weights_from_one_place_of_a_checkpoint(tmp_path, capsys):
    state = load_network("net.py:small", random=3).module.state_dict()
    options = argparse.Namespace(rate=0.1)
    torch.save({"args": options, "net": state, "net_ema": state}, tmp_path / "a.pth")
    for place in ("", "#net_ema"):
        assert (
            main(["layers", "net.py:small", "--size", "32", "--weights", f"{tmp_path / 'a.pth'}{place}"]) == 0
        )
        assert "8 x 8 x 8" in capsys.readouterr().out
    status = main(["layers", "net.py:small", "--weights", f"{tmp_path / 'a.pth'}#net_emma"])
    assert_refused(status, capsys, "no weights at 'net_emma'; near names: net_ema", wanted=2)


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ("net.py:small --size 32x64", "8 x 8 x 16"),
        ("net.py:patches --size 32x64", "4 x 4 x 8"),
        ("net.py:patches --size 32x64 --grid 8x4", "4 x 8 x 4"),
        ("net.py:patches --size 32x64 --grid 4x4 --prefix-tokens 16", "4 x 4 x 4"),
    ],
)
def test_sizes_and_grids_are_rows_and_columns(words, seen, capsys):
    assert main(["layers", *words.split()]) == 0
    assert seen in capsys.readouterr().out


@pytest.mark.parametrize("words", ["--size 32x", "--grid 3x4x5", "--size=-4", "--grid axb"])
def test_sizes_that_are_none_are_wrong_usage(words, capsys):
    assert main(["layers", "net.py:small", *words.split()]) == 2
    assert "give the side of a square, such as 14, or rows" in capsys.readouterr().err


def test_a_report_is_written_with_the_run_and_again(tmp_path, capsys):
    run = tmp_path / "run"
    words = f"dissect net.py:small --layers 1 --concepts {DRAWN} --out {run} --shifts 5 --threads 1"
    assert main(words.split()) == 0
    assert f"report: {run}/report/index.html" in capsys.readouterr().out
    shutil.rmtree(run / "report")
    assert main(["report", str(run)]) == 0
    assert (run / "report" / "index.html").is_file()


def test_a_cache_changes_nothing(tmp_path):
    for out in ("packed", "unpacked"):
        assert dissect("small", "1 2", DRAWN, str(tmp_path / out), "--cache", str(tmp_path / "cache")) == 0
        assert (tmp_path / out / "units.csv").read_bytes() == Path("first/units.csv").read_bytes()
    assert list((tmp_path / "cache").iterdir())


def test_thresholds_of_another_run_give_its_counts(tmp_path):
    assert dissect("small", "1 2", DRAWN, str(tmp_path / "run"), "--thresholds", "first/units.csv") == 0
    given, found = load(tmp_path / "run"), load("first")
    for layer in ("1", "2"):
        np.testing.assert_array_equal(given[layer].intersections, found[layer].intersections)
        np.testing.assert_array_equal(given[layer].active, found[layer].active)


def test_thresholds_of_more_layers_serve_for_some(tmp_path):
    assert dissect("small", "1", DRAWN, str(tmp_path / "run"), "--thresholds", "first/units.csv") == 0
    run = load(tmp_path / "run")
    np.testing.assert_array_equal(run["1"].intersections, load("first")["1"].intersections)
    assert list(run.recipe.thresholds) == ["1"]


def test_a_limit_takes_the_first_images(tmp_path):
    assert dissect("small", "1", DRAWN, str(tmp_path / "run"), "--limit", "3") == 0
    run = load(tmp_path / "run")
    assert run["1"].images == 3
    assert run.source == "drawn:count=6,seed=0,size=64,limit=3"


def test_shuffled_labels_are_those_of_other_images(tmp_path):
    assert dissect("small", "1", DRAWN, str(tmp_path / "run"), "--shuffle-labels", "1") == 0
    shuffled, found = load(tmp_path / "run")["1"], load("first")["1"]
    np.testing.assert_array_equal(shuffled.concept_pixels, found.concept_pixels)
    assert (shuffled.intersections != found.intersections).any()


def test_mixed_precision_stays_near(tmp_path):
    assert dissect("small", "1", DRAWN, str(tmp_path / "run"), "--mixed-precision") == 0
    mixed = load(tmp_path / "run")
    assert mixed.recipe.mixed_precision is True
    np.testing.assert_allclose(mixed["1"].thresholds, load("first")["1"].thresholds, rtol=0.02)


@pytest.mark.parametrize("convention", ["netdissect", "pnas", "netdissect-lite", "gandissect", "dissect"])
def test_every_convention_is_at_hand(convention, tmp_path):
    assert dissect("small", "1", DRAWN, str(tmp_path / "run"), "--convention", convention) == 0
    assert load(tmp_path / "run").convention.name == convention


def test_sources_are_united_checked_and_dissected(tmp_path, capsys):
    source = f"folder:{write_folder(tmp_path / 'set')}"
    union = f"broden:{tmp_path / 'union'}"
    unite = ["concepts", "unite", source, "--out", str(tmp_path / "union"), "--size", "32"]
    assert main([*unite, "--min-images", "1", "--min-coverage", "0"]) == 0
    assert main(["concepts", "check", union]) == 0
    assert main(["concepts", "preview", union, "--out", str(tmp_path / "sheet.png")]) == 0
    assert dissect("small", "1", union, str(tmp_path / "run")) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    with open(tmp_path / "run" / "units.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_json_has_null_for_a_number_that_is_none(capsys):
    print_json({"iou": (float("nan"), 0.5), "units": [{"auroc": float("inf"), "unit": 3}], "label": "sky"})
    said = {"iou": [None, 0.5], "units": [{"auroc": None, "unit": 3}], "label": "sky"}
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == said
