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
    ".index": "a TensorFlow checkpoint",
}
_STARTS = {b"\x89HDF": _ENDINGS[".h5"], b"GGUF": _ENDINGS[".gguf"], b"\x93NUM": _ENDINGS[".npy"]}
_LOOKED_AT = 256
_IN_ITS_PLACE = {
    b"version https://git-lfs": "is a pointer of Git LFS; fetch the file that it stands for: git lfs pull",
    b"<!doctype": "is a web page; download the file itself",
    b"<html": "is a web page; download the file itself",
    b"\x1f\x8b": "is compressed by gzip; unpack it",
    b"bzh": "is compressed by bzip2; unpack it",
    b"\xfd7zxz": "is compressed by xz; unpack it",
    b"7z\xbc\xaf": "is a 7z archive; unpack it",
}
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
    if not path.exists() and path.with_name(f"{path.name}.index").exists():
        return _ENDINGS[".index"]
    if path.suffix.lower() in _ENDINGS:
        return _ENDINGS[path.suffix.lower()]
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        start = file.read(4)
    return _name_archive(path) if start == b"PK\x03\x04" else _STARTS.get(start, "")


def name_damage(path: Path) -> str:
    """What came in place of a file of weights, and what to do about it; nothing where that is not known."""
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if not start:
        return "is empty; download or copy it again"
    for begins, said in _IN_ITS_PLACE.items():
        if start.lstrip().lower().startswith(begins):
            return said
    if start.startswith(b"PK\x03\x04"):
        if not zipfile.is_zipfile(path):
            return "is cut short; download or copy it again"
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                return "is an archive of other files; unpack it, and give the file of weights in it"
    if path.suffix == ".json" and start.lstrip().startswith(b"{"):
        what = "an index of several files of weights" if b"weight_map" in path.read_bytes() else "JSON text"
        return f"is {what}; give one file with all weights"
    return ""


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
