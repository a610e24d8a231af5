"""What a source holds, in plain numbers."""

from collections import Counter

from unitscope.concepts.vocabulary import ConceptSource


def count_pixels(source: ConceptSource) -> dict[str, dict[str, int]]:
    """By picture: how many pixels every concept has in all planes; under `void` those of unknown truth.

    A pixel that is void names no concept.
    """
    found = {}
    for index in range(len(source)):
        example = source[index]
        assert not len(example.planes) or example.planes.shape[1:] == example.image.shape[:2]
        counts = Counter(
            source.vocabulary[number].name for number in example.planes[example.planes > 0].tolist()
        )
        if example.void is not None:
            assert not example.planes[:, example.void].any()
            counts["void"] = int(example.void.sum())
        found[example.key] = dict(counts)
    return found
