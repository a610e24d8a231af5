"""Formulas over concepts as texts: read with the names of a vocabulary, and written to be read back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from unitscope.concepts.vocabulary import Vocabulary, find_named
from unitscope.errors import UsageError
from unitscope.statistics.formulas import Formula

FORM = "write it from the left, as in ((a OR b) AND NOT c) OR d"

_TOKEN = re.compile(r'"(?:[^"]|"")*"|[()]|\b(?:AND\s+NOT|AND|OR|NOT)\b|[^\s()"]+')
_JOIN = re.compile(r"AND\s+NOT|AND|OR")
_PLAIN = re.compile(r"[^\s()\"]+(?: [^\s()\"]+)*")
_OPERATOR = re.compile(r"\b(?:AND|OR|NOT)\b")


@dataclass(frozen=True)
class ConceptFormula:
    """A formula over the concepts of a vocabulary, by their ids, read from the left: ((a op b) op c).

    `joins` are "OR", "AND" and "AND NOT", one between each two concepts; of one concept there are none.
    """

    concepts: tuple[int, ...]
    joins: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.concepts)

    def spell(self, vocabulary: Vocabulary) -> str:
        """The formula in the names of the concepts; `parse_formula` reads it back."""
        names = {concept: spell_concept(concept, vocabulary) for concept in self.concepts}
        text = names[self.concepts[0]]
        for place, (join, concept) in enumerate(zip(self.joins, self.concepts[1:], strict=True)):
            text = f"({text}) {join} {names[concept]}" if place else f"{text} {join} {names[concept]}"
        return text

    def holds(self, has: Bool[np.ndarray, "row concept"]) -> Bool[np.ndarray, "row"]:
        """In which rows it holds; `has[row, id]` says which of them have a concept."""
        return Formula(self.concepts, self.joins, 0, 0).holds(has)


def spell_concept(concept: int, vocabulary: Vocabulary) -> str:
    """The name that means this concept and no other: with its category, or in quotes, where that is needed.

    >>> from unitscope.concepts.vocabulary import Concept
    >>> street = Concept(1, "street", "object"), Concept(2, "street", "scene")
    >>> words = Vocabulary((*street, Concept(3, "sky", "object")))
    >>> spell_concept(2, words), spell_concept(3, words)
    ('scene/street', 'sky')
    """
    one = vocabulary[concept]
    alike = sum(other.name == one.name for other in vocabulary)
    return quote_name(one.name if alike == 1 else f"{one.category}/{one.name}")


def quote_name(name: str) -> str:
    """A name as it stands in a formula: in quotes where it holds brackets or operators.

    >>> quote_name("street lamp"), quote_name("salt AND pepper")
    ('street lamp', '"salt AND pepper"')
    """
    if _PLAIN.fullmatch(name) and not _OPERATOR.search(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def parse_formula(text: str, vocabulary: Vocabulary) -> ConceptFormula:
    """The formula that a text states in the names of a vocabulary, such as `(sky OR sea) AND NOT boat`.

    Operators are OR, AND and AND NOT, in capitals. Names may have spaces; they are those of the vocabulary,
    labels in any case, or CATEGORY/NAME, and stand in quotes ("...", a quote in them twice) where they hold
    brackets or operators. Every step is one concept more on the right; brackets say in which order, and are
    needed from three concepts on. `a AND (NOT b)`, as others write, is `a AND NOT b`.

    Raises `UsageError` for names that there are not, or that several concepts have, and for texts of another
    form, which it names.

    >>> from unitscope.concepts.vocabulary import Concept
    >>> names = (1, "sky"), (4, "sea"), (9, "boat")
    >>> words = Vocabulary(tuple(Concept(number, name, "object") for number, name in names))
    >>> parse_formula("(sky OR sea) AND NOT boat", words)
    ConceptFormula(concepts=(1, 4, 9), joins=('OR', 'AND NOT'))
    >>> parse_formula("sky OR sea AND boat", words)
    Traceback (most recent call last):
    unitscope.errors.UsageError: formula 'sky OR sea AND boat': which of OR, AND comes first is not said; ...
    """
    stripped = text.strip()
    exact = [one.id for one in vocabulary if one.name == stripped]
    if len(exact) == 1:  # also a name that has brackets, or looks like a formula
        return ConceptFormula((exact[0],))
    tokens = _TOKEN.findall(text)
    if not tokens:
        raise _refuse(text, "it is empty")
    if text.count('"') % 2:
        raise _refuse(text, "a quote is not closed")
    found, rest = _parse(text, tokens, vocabulary)
    if rest:
        raise _refuse(text, "a bracket is closed that was not opened")
    return found


def _parse(text: str, tokens: Sequence[str], vocabulary: Vocabulary) -> tuple[ConceptFormula, Sequence[str]]:
    """The formula up to the end, or to a bracket that closes it; and the tokens that are left."""
    found, tokens = _parse_part(text, tokens, vocabulary)
    steps: list[str] = []
    while tokens and tokens[0] != ")":
        if not _JOIN.fullmatch(tokens[0]):
            raise _refuse(text, f"{tokens[0]!r} stands where an operator was awaited")
        join, tokens = " ".join(tokens[0].split()), tokens[1:]
        if join == "AND" and [*tokens[:2]] == ["(", "NOT"]:
            negated, tokens = _parse_part(text, tokens[2:], vocabulary)
            if [*tokens[:1]] != [")"]:
                raise _refuse(text, "NOT stands in front of more than one concept")
            join, right, tokens = "AND NOT", negated, tokens[1:]
        else:
            right, tokens = _parse_part(text, tokens, vocabulary)
        steps.append(join)
        if len(right) > 1:
            raise _refuse(text, f"on the right of {join} stands more than one concept")
        found = ConceptFormula((*found.concepts, *right.concepts), (*found.joins, join))
    if len(steps) > 1:
        raise _refuse(text, f"which of {', '.join(steps)} comes first is not said")
    return found, tokens


def _parse_part(
    text: str, tokens: Sequence[str], vocabulary: Vocabulary
) -> tuple[ConceptFormula, Sequence[str]]:
    """What stands on one side of an operator: a concept, or a formula in brackets."""
    if tokens and tokens[0] == "(":
        found, tokens = _parse(text, tokens[1:], vocabulary)
        if not tokens:
            raise _refuse(text, "a bracket is not closed")
        return found, tokens[1:]
    if tokens and tokens[0].startswith('"'):
        return _name(text, tokens[0][1:-1].replace('""', '"'), vocabulary), tokens[1:]
    count = 0
    while count < len(tokens) and _is_word(tokens[count]):
        count += 1
    if not count:
        seen = f"in front of {tokens[0]!r}" if tokens else "at the end"
        raise _refuse(text, f"a concept is missing {seen}")
    return _name(text, " ".join(tokens[:count]), vocabulary), tokens[count:]


def _is_word(token: str) -> bool:
    return token not in ("(", ")", "NOT") and not token.startswith('"') and not _JOIN.fullmatch(token)


def _name(text: str, name: str, vocabulary: Vocabulary) -> ConceptFormula:
    exact = [one.id for one in vocabulary if one.name == name]
    if len(exact) == 1:
        return ConceptFormula((exact[0],))
    try:
        return ConceptFormula((find_named(vocabulary, [name])[0].id,))
    except UsageError as error:
        if name == text.strip():
            raise
        hint = "; operators are OR, AND, AND NOT, in capitals" if re.search(r"\b(or|and|not)\b", name) else ""
        raise UsageError(f"formula {text.strip()!r}: {error}{hint}") from error


def _refuse(text: str, why: str) -> UsageError:
    return UsageError(f"formula {text.strip()!r}: {why}; {FORM}")
