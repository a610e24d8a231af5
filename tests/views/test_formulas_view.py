"""Formulas as colored words, with maps where the images can be opened."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import unitscope as us
from unitscope.errors import UsageError
from unitscope.statistics.formulas import Formula
from unitscope.views.drawing import draw_mask
from unitscope.views.formulas import find_runs, formulas_html, spell_words, trace_runs


@pytest.fixture(scope="module")
def found():
    network, source = us.load_network("zoo:scene-classifier"), us.open_source("drawn:count=16,size=64")
    run = us.dissect(network, source, ["layer5"], confidences=us.Confidences(shifts=0))
    return us.find_formulas(run, units=range(12), draws=0)


def test_a_notebook_shows_words_and_maps(found):
    html = found._repr_html_()
    assert html == formulas_html(found)
    assert html.count("<svg") == 6 * 3
    assert "<script" not in html


def test_images_that_cannot_be_opened_are_left_out(found, tmp_path, monkeypatch):
    def refuse(run, source=None):
        raise UsageError("gone")

    monkeypatch.setattr("unitscope.views.formulas.reopen_source", refuse)
    assert "<svg" not in found.page(tmp_path).read_text()
    with pytest.raises(UsageError, match="gone"):
        found.page(tmp_path, source="folder:elsewhere")


def test_words_of_a_formula_stand_in_its_order(found):
    ids = [one.id for one in found.vocabulary][:4]
    words = spell_words(found, Formula(tuple(ids), ("OR", "AND NOT", "AND"), 0, 0))
    labels = [found.vocabulary[one].label for one in ids]
    expected = f"( ( {labels[0]} OR {labels[1]} ) AND NOT {labels[2]} ) AND {labels[3]}"
    assert " ".join(word.text for word in words) == expected
    assert spell_words(found, None) == []


@given(arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 9))))
def test_runs_cover_the_region(region):
    runs = find_runs(region)
    assert np.array_equal(draw_mask(np.array(runs).reshape(-1, 3), region.shape), region)
    assert trace_runs(runs).count("M") == len(runs)
