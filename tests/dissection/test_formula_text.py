"""Formulas as texts: what is written reads back, and each mistake has its line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.formula_text import ConceptFormula, parse_formula
from unitscope.errors import UsageError
from unitscope.statistics.formulas import JOINS

NAMES = (
    ("sky", "object"), ("street", "object"), ("street-s", "scene"), ("swimming pool", "object"),
    ("car (front)", "part"), ("AND gate", "object"), ("glass", "material"), ("glass", "object"),
    ('a "quoted" one', "object"), ("sand and gravel", "material"), ("x/y", "part"), (" (", "part"),
)  # fmt: skip
WORDS = Vocabulary(tuple(Concept(3 * n + 1, *one) for n, one in enumerate(NAMES)))
IDS = [one.id for one in WORDS]


@given(
    st.lists(st.sampled_from(IDS), min_size=1, max_size=6),
    st.lists(st.sampled_from(JOINS), min_size=5, max_size=5),
)
def test_what_is_written_reads_back(concepts: list[int], joins: list[str]) -> None:
    formula = ConceptFormula(tuple(concepts), tuple(joins[: len(concepts) - 1]))
    assert parse_formula(formula.spell(WORDS), WORDS) == formula
    assert parse_formula(f"({formula.spell(WORDS)})", WORDS) == formula


@pytest.mark.parametrize(
    ("text", "concepts", "joins"),
    [
        ("sky", (1,), ()),
        ("  SKY  ", (1,), ()),
        ("street", (4,), ()),
        ("scene/street", (7,), ()),
        ("car (front)", (13,), ()),
        ("AND gate", (16,), ()),
        ("material/glass OR sky", (19, 1), ("OR",)),
        ("swimming pool AND sky", (10, 1), ("AND",)),
        ("(sky OR street) AND (NOT swimming pool)", (1, 4, 10), ("OR", "AND NOT")),
        ("((sky OR street)  AND   NOT (swimming pool))", (1, 4, 10), ("OR", "AND NOT")),
        ("((sky)) OR x/y", (1, 31), ("OR",)),
        ("sand and gravel OR sky", (28, 1), ("OR",)),
    ],
)
def test_texts_that_people_write(text: str, concepts: tuple[int, ...], joins: tuple[str, ...]) -> None:
    assert parse_formula(text, WORDS) == ConceptFormula(concepts, joins)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("sky OR street AND x/y", "which of OR, AND comes first is not said"),
        ("sky OR street OR x/y", "which of OR, OR comes first is not said"),
        ("sky OR (street AND x/y)", "on the right of OR stands more than one concept"),
        ("sky AND (NOT street OR x/y)", "NOT stands in front of more than one concept"),
        ("sky OR NOT street", "a concept is missing in front of 'NOT'"),
        ("NOT sky", "a concept is missing in front of 'NOT'"),
        ("sky OR", "a concept is missing at the end"),
        ("OR sky", "a concept is missing in front of 'OR'"),
        ("(sky OR street", "a bracket is not closed"),
        ("sky OR street)", "a bracket is closed that was not opened"),
        ("sky (street)", "'(' stands where an operator was awaited"),
        ('sky OR "street', "a quote is not closed"),
        ("sky or street", "there is no concept 'sky or street'"),
        ("(sky or street) AND x/y", "operators are OR, AND, AND NOT, in capitals"),
        ("skey OR street", "near names: sky"),
        ("glass OR sky", "several concepts are called 'glass'; say material/glass or object/glass"),
        ("()", "a concept is missing in front of ')'"),
    ],
)
def test_every_mistake_has_its_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_formula(text, WORDS)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet='()" ORANDTskyx/', max_size=30))
def test_any_text_is_a_formula_or_has_a_line(text: str) -> None:
    try:
        found = parse_formula(text, WORDS)
    except UsageError:
        return
    assert parse_formula(found.spell(WORDS), WORDS) == found


def test_holds_is_read_from_the_left() -> None:
    has = np.zeros((4, WORDS.size), bool)
    has[:, 1], has[:, 4], has[:, 10] = [1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1]
    formula = parse_formula("(sky OR street) AND NOT swimming pool", WORDS)
    assert formula.holds(has).tolist() == [True, True, False, False]
