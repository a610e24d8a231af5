"""Directions by a text: drawn ones, files of our own, files of libraries of autoencoders."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unitscope.errors import UsageError, say_near
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.drawn import draw_rotation, draw_sae, keep_units
from unitscope.networks.directions.files import load_directions, read_note
from unitscope.networks.directions.formats.libraries import read_autoencoder
from unitscope.options import read_number

_FORMS = "FILE, sae:FILE, probe:FILE, rotation:SEED, random-sae:LATENTS:K:SEED, identity"
_FITTED = ("pca", "ica", "nmf")


def open_directions(spec: str, units: int | None = None, **given: Any) -> Directions:
    """The directions that a text names, of a layer with so many units.

    - `FILE.safetensors`: what `save_directions` wrote; `probe:FILE` where it must be of probes;
    - `sae:FILE`, or the file or folder alone: an autoencoder of saev, overcomplete, ViT-Prisma, SAE Lens,
      sdxl-unbox or dictionary-learning. What it does not say follows, `FILE?k=32&scale=1.7`, or is `given`;
    - `rotation:SEED`: a random rotation of the units; `identity`: the units themselves;
    - `random-sae:LATENTS:K:SEED`: an autoencoder that was never trained.

    Raises `UsageError` for a text that names none, where units are wanted or do not fit, and for what a file
    lacks; `NetworkError` for a file that cannot be read.

    >>> open_directions("rotation:0", units=4)
    rotation: 4 latents of 4 units
    >>> open_directions("random-sae:64:8:0", units=4)
    random-sae: 64 latents of 4 units
    """
    head, _, rest = spec.partition(":")
    if head in _DRAWN:
        if given:
            raise UsageError(f"{spec} has no option {next(iter(given))!r}; all of it stands in its text")
        if units is None:
            raise UsageError(f"{spec} takes any number of units; say it: open_directions({spec!r}, units=N)")
        return _DRAWN[head](spec, rest, units)
    if is_fitted(spec):
        raise UsageError(
            f"{spec} has to be fitted to images first, in Python by unitscope.experiments.fit_directions; "
            f"or {say_fit('LAYER', spec)}"
        )
    place, options = _split(rest if head in ("sae", "probe") else spec, given)
    path = Path(place)
    if not path.exists():
        near = say_near(head, (*_DRAWN, *_FITTED, "sae", "probe"))
        raise UsageError(f"{spec}: there is no file {path}; directions are {_FORMS}{near}")
    ours = path.suffix == ".safetensors" and path.is_file() and read_note(path) is not None
    if ours and options:
        raise UsageError(f"{path} says everything itself; leave out {next(iter(options))}")
    found = load_directions(path) if ours else read_autoencoder(path, options)
    if head == "probe" and found.kind != "probe":
        raise UsageError(f"{path} holds directions of kind {found.kind}, not probes; leave out probe:")
    check_units(found, units, path)
    return found


def is_drawn(spec: str) -> bool:
    """Whether directions are made for any number of units, and so of no file.

    >>> is_drawn("rotation:0"), is_drawn("sae:sae.pt")
    (True, False)
    """
    return spec.partition(":")[0] in _DRAWN


def is_fitted(spec: str) -> bool:
    """Whether a text asks for components, which are of no file before they are fitted to images.

    >>> is_fitted("pca:64"), is_fitted("rotation:0")
    (True, False)
    """
    return spec.partition(":")[0] in _FITTED and not os.path.exists(spec)


def say_fit(layer: str, spec: str) -> str:
    """How components that a text asks for are fitted, once for all commands, and named from then on.

    >>> say_fit("layer5", "pca:64")  # doctest: +ELLIPSIS
    'unitscope directions fit NETWORK --layer layer5 ... FILE.safetensors; then name layer5+FILE.safetensors'
    """
    kind, _, number = spec.partition(":")
    asked = f"--kind {kind} --latents {number or 'N'} --out FILE.safetensors"
    command = f"unitscope directions fit NETWORK --layer {layer} --images SOURCE {asked}"
    return f"{command}; then name {layer}+FILE.safetensors"


def check_units(found: Directions, units: int | None, name: object) -> None:
    """Raises `UsageError` where directions of that name are of another number of units."""
    if units not in (None, found.units):
        raise UsageError(
            f"{name} reads {found.units} units, the layer has {units}; give the layer it was made for"
        )


def _split(text: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The file, and the options that follow it or are given."""
    if os.path.exists(text) or "?" not in text:
        return text, dict(given)
    place, _, rest = text.rpartition("?")
    options: dict[str, Any] = {}
    for part in rest.split("&"):
        key, equals, value = part.partition("=")
        if not equals or key in options or key in given:
            why = "is given twice" if equals else "is no key=value"
            raise UsageError(f"{text}: {part!r} {why}; wanted FILE?key=value&key=value")
        options[key] = value
    return place, options | dict(given)


def _open_rotation(spec: str, rest: str, units: int) -> Directions:
    [seed] = _read_numbers(spec, rest, ("SEED",))
    return draw_rotation(units, seed)


def _open_random_sae(spec: str, rest: str, units: int) -> Directions:
    latents, k, seed = _read_numbers(spec, rest, ("LATENTS", "K", "SEED"))
    return draw_sae(units, latents, k, seed)


def _open_identity(spec: str, rest: str, units: int) -> Directions:
    _read_numbers(spec, rest, ())
    return keep_units(units)


def _read_numbers(spec: str, rest: str, names: tuple[str, ...]) -> list[int]:
    parts = rest.split(":") if rest else []
    if len(parts) != len(names):
        raise UsageError(f"{spec}: wanted {':'.join((spec.partition(':')[0], *names))}")
    return [read_number(name, part) for name, part in zip(names, parts, strict=True)]


_DRAWN: Mapping[str, Callable[[str, str, int], Directions]] = {
    "rotation": _open_rotation,
    "random-sae": _open_random_sae,
    "identity": _open_identity,
}
