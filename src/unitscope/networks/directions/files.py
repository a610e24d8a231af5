"""Directions as one safetensors file."""

import json
from pathlib import Path
from typing import cast, get_args

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from unitscope.errors import NetworkError, UsageError
from unitscope.files import write_whole
from unitscope.networks.directions.directions import TENSORS, Directions, Reads, make_directions, unpack
from unitscope.networks.directions.parts import put_together

_KEY, _FORMAT = "unitscope.directions", 1


def save_directions(made: Directions, path: str | Path) -> Path:
    """Writes directions with their kind and all that is known about them; the file's path.

    The same directions give the same bytes. Raises `RunError` where the file cannot be written.

    >>> import tempfile, torch
    >>> place = Path(tempfile.mkdtemp()) / "probe.safetensors"
    >>> load_directions(save_directions(make_directions(torch.eye(2), kind="probe"), place))
    probe: 2 latents of 2 units
    """
    tensors, facts = unpack(made)
    said = {"format": _FORMAT, "kind": made.kind, "about": dict(made.about), "facts": facts}
    # One entry of metadata: safetensors writes several in an order that differs from time to time.
    metadata = {_KEY: json.dumps(said, sort_keys=True)}
    apart = {name: tensor.clone() for name, tensor in tensors.items()}  # two may be one in memory
    return write_whole(Path(path), save(apart, metadata))


def load_directions(path: str | Path) -> Directions:
    """The directions that `save_directions` wrote.

    Raises `UsageError` where there is no such file, `NetworkError` where it is damaged or holds something
    else.
    """
    path = Path(path)
    said = read_note(path)
    if said is None:
        raise NetworkError(
            f"{path} holds no directions; wanted a file of `save_directions` or of a library of autoencoders"
        )
    try:
        note = json.loads(said)
        if note["format"] != _FORMAT:
            raise NetworkError(
                f"{path} is of format {note['format']}, this version reads {_FORMAT}; update unitscope"
            )
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        values = note["facts"] | tensors
        return make_directions(
            **{name: tensors[name] for name in TENSORS},
            normalization=put_together("normalization", values),
            activation=put_together("activation", values),
            kind=str(note["kind"]),
            about={str(key): str(value) for key, value in note["about"].items()},
            reads=_find_reads(note["facts"].get("reads", "output")),
        )
    except UsageError as error:
        raise NetworkError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise NetworkError(f"{path} is damaged: its metadata do not fit its tensors ({error!r})") from error


def _find_reads(said: object) -> Reads:
    for known in get_args(Reads):
        if said == known:
            return cast("Reads", known)
    raise UsageError(
        f"its cells are the {said!r} of a layer, which this version does not know; update unitscope"
    )


def read_note(path: Path) -> str | None:
    """What `save_directions` wrote beside the tensors; None for a file of safetensors by others.

    Raises `UsageError` where there is no file, `NetworkError` where it is not one of safetensors.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}; give directions as FILE.safetensors")
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError) as error:
        raise NetworkError(f"{path} is not a readable safetensors file: {error}") from error
