"""Lists of words by name: a file, the concepts of a source, the nouns of WordNet."""

from pathlib import Path
from typing import Any

from unitscope.errors import UsageError, missing_extra
from unitscope.factories import say_failure
from unitscope.networks.open_source import open_source

_WANTED = "FILE with a word a line, vocabulary:SOURCE or wordnet:nouns"


def read_words(spec: str) -> list[str]:
    """The words that a text names.

    - `FILE`: a text in UTF-8, a word or phrase a line
    - `vocabulary:SOURCE`: what the concepts of a source are called, such as `vocabulary:drawn`
    - `wordnet:nouns`: all nouns of WordNet, as the package nltk (extra `wordnet`) finds it on this machine,
      `_` as spaces; nothing is downloaded

    Raises `UsageError` for a file that is not there or no text, and where WordNet or the package is missing,
    and what opening the source raises.

    >>> read_words("vocabulary:drawn")[:3]
    ['black', 'blue', 'brown']
    """
    if Path(spec).is_file():
        try:
            return Path(spec).read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise UsageError(f"{spec} is no text in UTF-8 (byte {error.start}); save it so") from None
    kind, _, place = spec.partition(":")
    if kind == "vocabulary":
        return [concept.label for concept in open_source(place).vocabulary]
    if kind == "wordnet":
        return _read_wordnet(place)
    raise UsageError(f"there is no list of words {spec!r}; wanted {_WANTED}")


def _read_wordnet(place: str) -> list[str]:
    if place != "nouns":
        raise UsageError(f"there is no list of words 'wordnet:{place}'; wanted wordnet:nouns")
    try:
        import nltk
    except ImportError as error:
        raise missing_extra("nltk", "reads WordNet", "wordnet") from error
    found: Any = nltk.corpus.wordnet
    try:
        names = sorted(set(found.all_lemma_names(pos="n")))
    except LookupError as error:
        advice = "put its folder corpora/wordnet into a folder that NLTK_DATA names"
        raise UsageError(f"nltk finds no WordNet on this machine; {advice}") from error
    except Exception as error:  # its reader raises whatever a bad file makes it raise
        raise UsageError(f"nltk cannot read the WordNet on this machine: {say_failure(error)}") from error
    return [str(name).replace("_", " ") for name in names]
