"""What a set is known to hold, compared with what a source says."""

from collections.abc import Mapping

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource, Example

Pixels = Mapping[str, Mapping[str, np.ndarray]]
"""By picture: the pixels of every concept, by category and name, and of `void`."""


def name_pixels(source: ConceptSource, example: Example) -> dict[str, np.ndarray]:
    """The pixels of every concept, by category and name, and of `void`."""
    found = {
        f"{one.category}/{one.name}": mask
        for one in source.vocabulary
        if (mask := (example.planes == one.id).any(axis=0)).any()
    }
    return found | ({} if example.void is None else {"void": example.void})


def compare(source: ConceptSource, truth: Pixels) -> None:
    """Fails where the source has other pictures than those, or other pixels of any concept, or one twice."""
    assert [source[index].key for index in range(len(source))] == list(truth)
    for index, wanted in enumerate(truth.values()):
        example = source[index]
        found = name_pixels(source, example)
        assert found.keys() == wanted.keys()
        for name, mask in wanted.items():
            np.testing.assert_array_equal(found[name], mask)
        assert example.image.shape[:2] == example.planes.shape[1:]
        labelled = [mask.sum() for name, mask in wanted.items() if name != "void"]
        assert np.count_nonzero(example.planes) == sum(labelled)
