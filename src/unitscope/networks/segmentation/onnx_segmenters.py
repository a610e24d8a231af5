"""A segmenter in an ONNX file, run by onnxruntime (`pip install 'unitscope[onnx]'`)."""

import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitscope.errors import NetworkError, UsageError, missing_extra
from unitscope.networks.network import IMAGENET, Network, Preprocessing, Three
from unitscope.networks.segmentation.channel_names import name_channels, read_names
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter
from unitscope.networks.weights import one_line
from unitscope.options import check_options, split_options

OPTIONS = ("names", "input")
INPUTS: dict[str, tuple[Three, Three]] = {
    "imagenet": IMAGENET,
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "centered": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""How colors enter the network: mean and deviation, of colors from 0 to 1."""


class OnnxLogits(nn.Module):
    """An ONNX graph from images to logits [n, class, y, x], or to class numbers, which become logits 0 and 1.

    `channels` says how many classes there are. The file's SHA-256 is kept as a buffer, so that a network's
    digest changes with the file.
    """

    def __init__(self, path: Path, channels: int) -> None:
        super().__init__()
        self.path, self.channels = path, channels
        self.session = _open(path)
        self.input = self.session.get_inputs()[0]
        found = np.frombuffer(hashlib.sha256(path.read_bytes()).digest(), np.uint8).copy()
        self.register_buffer("file_digest", torch.from_numpy(found))

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width that the graph takes, None for any."""
        height, width = self.input.shape[2:]
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n class row column"]:
        many = self.input.shape[0] if isinstance(self.input.shape[0], int) else len(images)
        found = torch.cat([self._run(part) for part in torch.split(images, many)])
        if found.is_floating_point() and found.ndim == 4:
            return found
        numbers = (found[:, 0] if found.ndim == 4 else found).long()
        top = int(numbers.max()) if numbers.numel() else 0
        if top >= self.channels or int(numbers.min()) < 0:
            advice = "name every class, 0 included"
            raise NetworkError(f"{self.path} gave class {top}, and {self.channels} are named; {advice}")
        return functional.one_hot(numbers, self.channels).permute(0, 3, 1, 2).float()

    def _run(self, images: Tensor) -> Tensor:
        try:
            outputs = self.session.run(None, {self.input.name: images.contiguous().numpy()})
        except Exception as error:  # the runtime raises its own kinds for whatever does not fit
            raise NetworkError(f"{self.path} failed on images: {one_line(error, 120)}") from error
        found = torch.from_numpy(np.asarray(outputs[0]))
        several = found.ndim == 4 and not found.is_floating_point() and found.shape[1] > 1
        if found.ndim not in (3, 4) or several:
            wanted = "logits n x class x y x x, or class numbers n x y x x"
            raise NetworkError(f"{self.path} gave {tuple(found.shape)} of {found.dtype}; wanted {wanted}")
        return found


def load_onnx(spec: str) -> NetworkSegmenter:
    """The segmenter that `FILE.onnx,names=FILE` names.

    The graph takes float32 images [n, 3, y, x] and gives logits or class numbers. `names` names its classes
    in order (`read_names`). `input` says how colors enter: `imagenet` (normalized by its mean and
    deviation, the default), `unit` (0 to 1) or `centered` (-1 to 1). A fixed input size is kept to; other
    images are resized for it.

    Raises `UsageError` for a wrong option or missing names, `NetworkError` for a file that cannot be run.
    """
    head, given = split_options(spec)
    options = check_options(head, given, OPTIONS)
    path = Path(head)
    if not path.is_file():
        raise UsageError(f"there is no file {head}; wanted FILE.onnx,names=FILE")
    if "names" not in options:
        raise UsageError(f"{head} does not say what its classes are; add names=FILE, their names in order")
    way = options.get("input", "imagenet")
    if way not in INPUTS:
        raise UsageError(f"input={way!r} is unknown; wanted {', '.join(INPUTS)}")
    named = read_names(Path(options["names"]))
    words, plane = name_channels(list(named), named)
    module = OnnxLogits(path, len(named)).eval()
    network = Network(module, Preprocessing(module.size, *INPUTS[way]), name=spec)
    return NetworkSegmenter(network, words, (plane,))


def _open(path: Path) -> Any:
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise missing_extra("onnxruntime", "runs .onnx files", "onnx") from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise NetworkError(f"{path} is no ONNX file that can be run: {one_line(error, 120)}") from error
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        shapes = ", ".join(str(one.shape) for one in inputs)
        raise NetworkError(f"{path} takes {shapes}; wanted one input of images, n x 3 x y x x")
    return session
