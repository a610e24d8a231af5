from html.parser import HTMLParser

from made_dissection import HOSTILE, made_dissection

from unitscope.views.comparison import compare_runs
from unitscope.views.notebook import dissection_html, layer_html


def test_summary_is_self_contained_and_escaped() -> None:
    found: list[tuple[str, list[tuple[str, str | None]]]] = []
    words: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, attrs))  # type: ignore[method-assign]
    parser.handle_data = words.append  # type: ignore[method-assign]
    parser.feed(dissection_html(made_dissection()))
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in found}
    assert {name for _, attrs in found for name, _ in attrs} <= {"style", "open"}
    assert HOSTILE[2] in words


def test_every_layer_is_there_with_its_figures() -> None:
    made = made_dissection()
    text = dissection_html(made)
    for name in made:
        assert f"{made[name].detectors} detectors of 64 units" in " ".join(text.split())


def test_without_confidence_there_is_no_interval() -> None:
    text = dissection_html(made_dissection(confident=False))
    assert "interval" not in text
    assert "nan" not in text


def test_dissection_shows_itself() -> None:
    made = made_dissection(8, ("a",))
    assert made._repr_html_() == dissection_html(made)


def test_a_layer_shows_itself_alone():
    made = made_dissection(8, ("a", "b"))
    text = made["b"]._repr_html_()
    assert text == layer_html(made["b"])
    assert f"{made['b'].detectors} detectors of 8 units" in " ".join(text.split())
    assert "<strong>a</strong>" not in text
    assert "40 images, convention netdissect" in text


def test_units_and_comparisons_show_their_text():
    made = made_dissection(8, ("a", "b"))
    assert made["a"][0]._repr_html_().startswith("<pre>")
    shown = compare_runs({"x": made})._repr_html_()
    assert shown.startswith("<pre>run")
    assert "detectors" in shown
