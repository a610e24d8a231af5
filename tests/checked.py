"""Types are checked at run time where tests run: by beartype, in jaxtyping's scope for shapes of arrays.

jaxtyping's own wrapper costs every call of a function some 30 microseconds, and painting makes calls by the
million. Where a signature names no array it adds nothing to what beartype checks; where it does, a scope in
which axes of one name have one length is enough, unless a shape is worked out from an argument ("{count}").
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

import jaxtyping
from beartype import beartype
from beartype.roar import BeartypeException

jaxtyped = jaxtyping.jaxtyped
Decorator = Callable[..., Callable[..., Any]]
ALL, EVERY = 20, 32
"""In each test the first 20 calls of a function are checked, then every 32nd: inner functions are called
by the hundred thousand, and checking them all took a sixth of the time of all tests."""
CALLS: dict[int, int] = {}
"""How often each was called in the test that runs, by the number of its code."""
MADE: dict[int, tuple[CodeType, Decorator]] = {}
"""How functions of the same lines are checked, by the number of their code, which stays in memory with it."""


def check_lightly() -> None:
    """From here on, modules whose types are checked as they are imported are checked so."""
    jaxtyping.jaxtyped = decorate


def decorate(*given: Any, typechecker: Any = None) -> Any:
    """In place of `jaxtyping.jaxtyped`."""
    if given or typechecker is None:
        return jaxtyped(*given, typechecker=typechecker)
    wholly = jaxtyped(typechecker=typechecker)

    def check_any(it: Any) -> Any:
        if inspect.isfunction(it):
            return check(it, wholly)
        made = vars(it).get("__init__") if dataclasses.is_dataclass(it) else None
        if hasattr(made, "__wrapped__"):
            return it  # written by hand, so it is looked at as any function is: `check` was here before
        if inspect.isfunction(made) and not hasattr(it, "__no_type_check__"):
            it.__init__ = check(made, wholly)  # as jaxtyping does, but lightly: some are made by the million
            return it
        return wholly(it)

    return check_any


def check(function: FunctionType, wholly: Decorator) -> Callable[..., Any]:
    """The function, which looks at its types when it is first called: by then all that they name is there.

    And most functions are never called by a process that runs a part of the tests.
    """
    checked: Callable[..., Any] | None = None
    code = id(function.__code__)  # that of a function inside another is the same, whenever it is made

    @functools.wraps(function)
    def call(*given: Any, **options: Any) -> Any:
        nonlocal checked
        CALLS[code] = calls = CALLS.get(code, 0) + 1
        if calls > ALL and calls % EVERY:
            return function(*given, **options)
        if checked is None:
            checked = choose(function, wholly)(function)
        return checked(*given, **options)

    return call


def begin_test() -> None:
    """From here on, the calls of every function are counted anew."""
    CALLS.clear()


def choose(function: FunctionType, wholly: Decorator) -> Decorator:
    """How the types of a function are checked: `wholly` or lightly."""
    if id(function.__code__) in MADE:  # a function inside another is made with every call of that one
        return MADE[id(function.__code__)][1]
    try:
        arrays = [hint for hint in find_types(function) if is_array(hint)]
        checked = beartype(function)
    except (NameError, TypeError, BeartypeException):  # a name or generic of type checkers only
        return wholly
    if any("{" in hint.dim_str for hint in arrays):
        return wholly
    steps = [functools.partial(renew, checked)] if checked is not function else []
    steps += [in_scope] if arrays else []
    made = functools.partial(functools.reduce, lambda it, step: step(it), steps)
    MADE[id(function.__code__)] = function.__code__, made
    return made


def renew(checked: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """As beartype checked another function of the same lines: to compile that again takes a millisecond."""
    fresh = FunctionType(checked.__code__, checked.__globals__, checked.__name__)
    fresh.__kwdefaults__ = {**checked.__kwdefaults__, "__beartype_func": function}
    return functools.update_wrapper(fresh, function)


def in_scope(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, every call of which gives lengths to the names of axes anew."""

    @functools.wraps(function)
    def call(*given: Any, **options: Any) -> Any:
        with jaxtyped("context"):
            return function(*given, **options)

    return call


def find_types(function: Callable[..., Any]) -> Iterator[Any]:
    """All types that a signature names, also those inside others."""
    waiting = list(typing.get_type_hints(function, include_extras=True).values())
    while waiting:
        hint = waiting.pop()
        yield hint
        waiting += hint if isinstance(hint, list | tuple) else typing.get_args(hint)


def is_array(hint: Any) -> bool:
    """Whether a type is an array with its shape."""
    return isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray)
