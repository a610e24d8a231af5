"""What a study measured as an array of bytes, as workers hand it back."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
else:
    DataclassInstance = Any


def pack_records(records: Iterable[DataclassInstance]) -> UInt8[np.ndarray, "byte"]:
    """Dataclasses of texts and numbers as JSON, which gives every number back as it was."""
    text = json.dumps([asdict(one) for one in records], default=lambda number: number.item())
    return np.frombuffer(text.encode(), np.uint8)


def read_records(packed: UInt8[np.ndarray, "byte"]) -> list[dict[str, Any]]:
    """The fields of each; tuples have become lists.

    >>> from dataclasses import make_dataclass
    >>> read_records(pack_records([make_dataclass("Count", ["unit", "iou"])(3, 0.1)]))
    [{'unit': 3, 'iou': 0.1}]
    """
    found: list[dict[str, Any]] = json.loads(packed.tobytes())
    return found
