"""Types are checked at run time in every test: what is not as its signature says is an error."""

import dataclasses

import jaxtyping
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Float64

from checked import ALL, EVERY, begin_test
from unitscope.networks.network import Preprocessing
from unitscope.options import read_number

check = jaxtyping.jaxtyped(typechecker=beartype)


@check
def project(x: Float64[np.ndarray, "n k"], y: Float64[np.ndarray, "k"]) -> Float64[np.ndarray, "n"]:
    return x @ y if y.any() else x[:-1, 0]


@check
def repeat(count: int) -> Float64[np.ndarray, "{count} 2"]:
    return np.ones((abs(count), 2))


def test_axes_of_one_name_have_one_length_in_a_call():
    project(np.ones((4, 3)), np.ones(3))
    project(np.ones((2, 5)), np.ones(5))
    for y in (np.ones(2), np.ones((3, 1)), np.ones(3, np.float32), np.zeros(3), [1.0, 1.0, 1.0]):
        with pytest.raises(Exception, match="violates type hint"):
            project(np.ones((4, 3)), y)


def test_what_is_called_often_is_checked_now_and_then_and_wholly_in_the_next_test():
    def call_wrongly(calls: range) -> None:
        for call in calls:
            if call <= ALL or call % EVERY == 0:
                with pytest.raises(Exception, match="violates type hint"):
                    project(np.ones((4, 3)), np.zeros(3))
            else:
                assert len(project(np.ones((4, 3)), np.zeros(3))) == 3

    begin_test()
    call_wrongly(range(1, 101))
    begin_test()
    call_wrongly(range(1, ALL + 1))


@check
@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    values: Float64[np.ndarray, "n"]
    weights: Float64[np.ndarray, "n"] | None = None


@check
@dataclasses.dataclass(frozen=True)
class Dashed(Line):
    dash: int = 1


def test_what_a_dataclass_holds_is_checked_as_it_is_made():
    assert Line("a", np.ones(2), np.ones(2)).values.tolist() == [1, 1]
    assert Dashed("a", np.ones(2), dash=2).dash == 2
    for kind in (Line, Dashed):
        for wrong in ((1, np.ones(2)), ("a", np.ones((2, 2))), ("a", np.ones(2), np.ones(3)), ("a", [1.0])):
            with pytest.raises(Exception, match="violates type hint"):
                kind(*wrong)
    with pytest.raises(Exception, match="violates type hint"):
        Dashed("a", np.ones(2), dash=0.5)


@check
@dataclasses.dataclass(frozen=True)
class Counted(Line):
    @check
    def __init__(self, count: int) -> None:
        super().__init__("counted", np.ones(count))


@check
@dataclasses.dataclass(frozen=True)
class Named(Line):
    @check
    def __init__(self, name: str) -> None:
        super().__init__(name, np.ones(1))


def test_ways_to_make_dataclasses_that_are_written_by_hand_are_told_apart():
    assert Counted(3).values.tolist() == [1, 1, 1]
    assert Named("a").name == "a"
    for kind, wrong in ((Counted, "a"), (Named, 3)):
        with pytest.raises(Exception, match="violates type hint"):
            kind(wrong)


def test_every_function_made_inside_another_is_checked():
    def make(factor):
        @check
        def scale(x: Float64[np.ndarray, "n"], *, by: int = 1) -> Float64[np.ndarray, "n"]:
            """Times a factor."""
            return x * factor * by

        return scale

    for factor in range(3):
        scale = make(factor)
        assert scale(np.ones(2), by=2).tolist() == [2.0 * factor] * 2
        assert scale.__doc__ == "Times a factor."
        for given, by in (([1.0], 1), (np.ones((2, 2)), 1), (np.ones(2), 0.5)):
            with pytest.raises(Exception, match="violates type hint"):
                scale(given, by=by)


def test_a_shape_is_worked_out_from_an_argument():
    assert len(repeat(3)) == 3
    with pytest.raises(jaxtyping.TypeCheckError):
        repeat(-3)


@pytest.mark.parametrize(
    "call",
    [lambda: Preprocessing().tensor(np.zeros((8, 8, 3), np.uint8)), lambda: read_number("count", 3)],
)
def test_what_is_called_wrongly_in_the_package_is_an_error(call):
    with pytest.raises(Exception, match="violates type hint"):
        call()
