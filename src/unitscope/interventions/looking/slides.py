"""Pictures under the lens: what the network reads of them, and how it names them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from PIL import Image

from unitscope.axes import Picture, Pixels
from unitscope.concepts.frames import show_bands
from unitscope.errors import NetworkError, UnitscopeError, UsageError
from unitscope.interventions.explanation import soften
from unitscope.interventions.linear_head import read_numbers
from unitscope.interventions.looking.lens import Lens
from unitscope.networks.failures import tell_failure
from unitscope.networks.network import Input
from unitscope.networks.trace import evaluation

SHOWN_SIDE = 768
"""The longer side of a picture as it is shown, at most."""


@dataclass(frozen=True, eq=False)
class Slide:
    """A picture under the lens; made by `prepare_slide`.

    `fitted` is what the network reads, at its input size; `logits` are those of all classes. `number` is the
    picture's in its source, `truth` its class where that is known.
    """

    name: str
    fitted: Picture
    batch: Input
    logits: Float64[np.ndarray, "classes"]
    number: int = 0
    truth: int | None = None

    @cached_property
    def probabilities(self) -> Float64[np.ndarray, "classes"]:
        """The softmax of the logits."""
        return soften(self.logits)

    @property
    def predicted(self) -> int:
        """The class with the highest logit."""
        return int(self.logits.argmax())

    @property
    def order(self) -> Int64[np.ndarray, "classes"]:
        """The classes, the likeliest first; ties go to the lower number."""
        return np.argsort(-self.logits, kind="stable")

    @property
    def exact(self) -> bool:
        """Whether bytes hold what the network reads: not so after an attack."""
        return self.fitted.dtype == np.uint8


def prepare_slide(
    lens: Lens,
    picture: Picture,
    name: str = "",
    *,
    number: int = 0,
    truth: int | None = None,
    fitted: bool = False,
) -> Slide:
    """A picture, fitted as those of the run were, with what the network says of it.

    With `fitted` it is at the network's input size already and is taken as it is. Raises `UsageError` for a
    picture that the network cannot read, `NetworkError` where it fails on it.
    """
    frame = lens.run.frame
    if fitted and picture.shape[:2] != frame.size:
        high, wide = picture.shape[:2]
        raise UsageError(f"the picture has {high} x {wide} pixels; the network reads {frame.size}")
    return classify_slide(lens, picture if fitted else frame.fit_image(picture), name, number, truth)


def classify_slide(
    lens: Lens, fitted: Picture, name: str = "", number: int = 0, truth: int | None = None
) -> Slide:
    """The slide of pixels as the network reads them; raises what `prepare_slide` raises."""
    network = lens.network
    batch = network.feed(np.stack([fitted]), number, network.device)  # a copy: pictures may be read-only
    with evaluation(network):
        try:
            logits = read_numbers(network.run(batch))
        except UnitscopeError:
            raise
        except Exception as error:
            raise tell_failure(network.name, batch, error) from error
    if logits.shape != (1, lens.classes):
        raise NetworkError(f"{network.name} gives logits {logits.shape}; wanted one row of {lens.classes}")
    return Slide(name, fitted, batch, logits[0], number, truth)


def show_seen(lens: Lens, picture: Picture) -> UInt8[np.ndarray, "v u 3"]:
    """What the network sees of a picture, for people: in its proportions, 768 pixels a side at most."""
    left, top, right, bottom = lens.run.frame.box(*picture.shape[:2])
    scale = min(1.0, SHOWN_SIDE / max(right - left, bottom - top))
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    pixels = Image.fromarray(to_bytes(picture))
    return np.asarray(pixels.resize(size, Image.Resampling.LANCZOS, (left, top, right, bottom)))


def to_bytes(picture: Picture) -> Pixels:
    """A picture as bytes, three bands; colors from 0 to 1 become 0 to 255.

    >>> to_bytes(np.full((1, 1, 3), 0.5, np.float32)).tolist()
    [[[128, 128, 128]]]
    """
    if picture.dtype == np.float32 and picture.shape[2] == 3 and picture.min() >= 0 and picture.max() <= 1:
        found: Pixels = np.rint(picture * 255).astype(np.uint8)
        return found
    return show_bands(picture)
