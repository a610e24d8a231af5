"""Files of other systems, told by what they are."""

import zipfile
from pathlib import Path

_ENDINGS = {
    ".onnx": "an ONNX graph",
    ".msgpack": "Flax (JAX) weights",
    ".npz": "NumPy arrays, as JAX libraries save weights",
    ".npy": "a NumPy array",
    ".h5": "a Keras file",
    ".keras": "a Keras file",
    ".tflite": "a TensorFlow Lite graph",
    ".pb": "a TensorFlow graph",
    ".gguf": "a GGUF file",
    ".engine": "a TensorRT engine",
    ".mlmodel": "a Core ML network",
}
_STARTS = {b"\x89HDF": _ENDINGS[".h5"], b"GGUF": _ENDINGS[".gguf"], b"\x93NUM": _ENDINGS[".npy"]}
_FOLDERS = {
    "_CHECKPOINT_METADATA": "an Orbax (JAX) checkpoint",
    "_METADATA": "an Orbax (JAX) checkpoint",
    "manifest.ocdbt": "an Orbax (JAX) checkpoint",
    "saved_model.pb": "a TensorFlow graph",
}


def name_format(path: Path) -> str:
    """What a file or folder is, where it is something that no weights of PyTorch are read from; else nothing.

    >>> name_format(Path("net.onnx"))
    'an ONNX graph'
    """
    if path.is_dir():
        found = (
            what
            for name, what in _FOLDERS.items()
            for deep in ("", "*/", "*/*/")
            if [*path.glob(deep + name)]
        )
        return next(found, "")
    if path.suffix.lower() in _ENDINGS:
        return _ENDINGS[path.suffix.lower()]
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        start = file.read(4)
    return _name_archive(path) if start == b"PK\x03\x04" else _STARTS.get(start, "")


def _name_archive(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    last = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in last:
        return "a TorchScript program"
    if "archive_format" in last:
        return "a torch.export program"
    return _ENDINGS[".npz"] if names and all(name.endswith(".npy") for name in names) else ""
