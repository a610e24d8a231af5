import json

import pytest
from made_dissection import HOSTILE, made_dissection

from unitscope.errors import UsageError
from unitscope.tables import align, clean
from unitscope.views.terminal import describe_dissection, show_dissection


def test_summary_has_a_line_a_layer_and_the_best_detectors() -> None:
    dissection = made_dissection()
    lines = show_dissection(dissection, limit=3).splitlines()
    assert lines[0] == "efficientnet-lite0 over 40 images of folder:photographs <b>, convention netdissect"
    assert " ".join(lines[2].split()) == (
        "layer units detectors by chance q<0.05 unique by category rule "
        "object part scene material texture color season"
    )
    head = dissection["_conv_head"]
    line = next(line for line in lines if line.startswith("_conv_head "))
    assert line.split()[:4] == ["_conv_head", "64", str(head.detectors), "1.4"]
    assert lines[-1] == "warning: 3 of 40 images have no labels"
    assert f"and {head.detectors - 3} more; --limit 0 shows all" in lines


def test_detectors_are_listed_best_first() -> None:
    dissection = made_dissection()
    text = show_dissection(dissection, layer="_conv_head", limit=0)
    rows = text.split("detectors\n")[-1].splitlines()[1:]
    best = max(dissection["_conv_head"], key=lambda unit: unit.iou)
    assert rows[0].split()[0] == str(best.unit)
    assert f"{best.iou:.3f}" in rows[0]
    assert "more" not in text


def test_columns_are_aligned() -> None:
    table = align([["unit", "concept", "IoU"], ["7", "cat", "0.1"], ["1280", "a", "12.25"]], left=(1,))
    assert table == "unit  concept    IoU\n   7  cat        0.1\n1280  a        12.25"


def test_unit_is_shown_with_its_best_in_every_category() -> None:
    dissection = made_dissection()
    text = show_dissection(dissection, layer="_conv_head", unit=0)
    unit = dissection["_conv_head"][0]
    assert "unit 0 of _conv_head" in text
    assert f"active pixels   {unit.active_pixels:,}" in text
    assert "season" in text


def test_dead_unit_says_never_active() -> None:
    assert "never active" in show_dissection(made_dissection(), layer="_conv_head", unit=63)


def test_concept_lists_its_units() -> None:
    dissection = made_dissection()
    named = [unit for unit in dissection["_conv_head"] if unit.concept and unit.concept.label == "car"]
    text = show_dissection(dissection, layer="_conv_head", concept="CAR")
    assert "car (object)" in text
    assert all(f"{unit.iou:.3f}" in text for unit in named)
    assert show_dissection(dissection, concept="street") == show_dissection(dissection, concept="street-s")


def test_without_confidence_there_are_no_columns_for_it() -> None:
    text = show_dissection(made_dissection(confident=False))
    assert "chance" not in text
    assert "q" not in text.split("detectors\n")[1].splitlines()[0].split()


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = show_dissection(made_dissection(), limit=0)
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert clean("\x1b]0;x\x07") == "?]0;x?"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"layer": "_conv_hed"}, "no layer '_conv_hed'; near names: _conv_head"),
        ({"unit": 64}, "unit 64 is out of range; units are numbered from 0 to 63"),
        ({"concept": "cra"}, "no concept 'cra'; near names: car"),
    ],
)
def test_what_is_not_there_is_one_clear_line(asked: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        show_dissection(made_dissection(), **asked)  # type: ignore[arg-type]


def test_json_holds_the_same_and_no_nan() -> None:
    dissection = made_dissection(confident=False)
    told = describe_dissection(dissection, layer="_conv_head")
    text = json.dumps(told, allow_nan=False)
    layer = json.loads(text)["layers"][0]
    assert told["schema"] == 1
    assert layer["detectors"] == dissection["_conv_head"].detectors == len(layer["listed"])
    assert layer["listed"][0]["q_value"] is None
    assert sum(row["detectors"] for row in layer["concepts"]) == layer["detectors"]
    full = describe_dissection(dissection, layer="_conv_head", unit=5)
    assert len(full["layers"][0]["listed"][0]["best_by_category"]) == 7  # type: ignore[index]


def test_json_keeps_hostile_names_as_they_are() -> None:
    told = json.dumps(describe_dissection(made_dissection()))
    assert json.dumps(HOSTILE[1])[1:-1] in told
