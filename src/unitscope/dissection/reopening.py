"""The images of a run, opened again by what it recorded, or given anew; and whether they are the same."""

import warnings

from unitscope.concepts.derived import is_named, peek, source_digest, source_spec
from unitscope.concepts.sources import APPLIED, derive
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.result import Dissection
from unitscope.errors import SourceError, UsageError
from unitscope.networks.network import Network
from unitscope.networks.open_source import open_source
from unitscope.options import split_options

_ADVICE = (
    "give its images with --concepts SOURCE, such as FILE.py:FACTORY, to report, rate or ablate, "
    "or in Python with source="
)


def reopen_source(
    run: Dissection, source: ConceptSource | str | None = None, network: Network | None = None
) -> ConceptSource:
    """The images that a run was made over: `source`, or the text that opens it, where given.

    Otherwise they are opened by what the run recorded. `network` makes those of a generator.

    Raises `UsageError`, which says how to give them, where they cannot be opened so, as those of an object of
    Python; `SourceError` where there are other images now, by number or name. Where only other data are
    not the same (sizes of files, options, lists of classes), a warning tells it; not where the run is over
    an object of Python, whose digest says little.
    """
    spec = run.recipe.source.spec
    if source is None and not is_named(spec):
        raise UsageError(f"the run is over {spec}, an object of Python that no text opens; {_ADVICE}")
    if source is None:
        try:
            opened = _open_recorded(run, network)
        except UsageError as error:
            raise UsageError(
                f"the run is over {spec}, which cannot be opened again: {error}; {_ADVICE}"
            ) from error
    else:
        opened = open_source(source, network) if isinstance(source, str) else source
    _compare(run, opened, given=source is not None)
    return opened


def _open_recorded(run: Dissection, network: Network | None) -> ConceptSource:
    made = run.recipe.source
    opened = open_source(made.spec, network)
    text, applied = split_options(made.spec, APPLIED)
    if made.digest in (None, source_digest(opened)) or not applied:
        return opened
    # A segmenter takes options at its end for those of its images; here they may be of its labels.
    again = derive(open_source(text, network), applied)
    return again if source_digest(again) == made.digest else opened


def _compare(run: Dissection, opened: ConceptSource, given: bool) -> None:
    made = run.recipe.source
    if made.digest in (None, source_digest(opened)):
        return
    changed = f"{made.spec}: the source has changed since the run"
    what = "the images given are not those of the run" if given else changed
    advice = "give the images of the run, or dissect again"
    if made.images not in (None, len(opened)):
        raise SourceError(f"{what}: {len(opened)} images now, {made.images} then; {advice}")
    for index, key in run.keys.items():
        if index >= len(opened):
            raise SourceError(f"{what}: {len(opened)} images now, at least {index + 1} then; {advice}")
        if (now := peek(opened, index)[0]) != key:
            raise SourceError(f"{what}: image {index} is {now} now, {key} then; {advice}")
    if given and not is_named(made.spec):
        return  # an object of Python and the text that makes it differ in their digests
    told = f"{source_spec(opened)} differs from what the run recorded" if given else changed
    warnings.warn(
        f"{told}: its images have the same names; whether they and their labels are the same is not known",
        stacklevel=3,
    )
