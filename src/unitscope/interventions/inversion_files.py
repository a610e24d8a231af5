"""An inversion as one safetensors file."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from unitscope.errors import RunError, UsageError
from unitscope.files import write_whole
from unitscope.interventions.inversion_result import Fit, Inversion
from unitscope.networks.generators import Generator

_KEY, _FORMAT = "unitscope.inversion", 1
_TENSORS = ("latent", "generated", "fitted", "residual")


def save_inversion(inversion: Inversion, path: str | Path) -> Path:
    """Writes an inversion with all that is known about it; the file's path.

    The same inversion gives the same bytes. Raises `RunError` where the file cannot be written.
    """
    tensors = {name: getattr(inversion, name) for name in _TENSORS}
    tensors |= {f"maps/{place}": one for place, one in inversion.maps.items()}
    pictures = {"picture": inversion.picture} | {f"made/{fit.stage}": fit.picture for fit in inversion.fits}
    tensors |= {name: torch.from_numpy(one.copy()) for name, one in pictures.items()}
    said = {
        "format": _FORMAT,
        **{name: getattr(inversion, name) for name in ("key", "generator", "digest", "name")},
        **{name: getattr(inversion, name) for name in ("kind", "kind_name", "layer")},
        "maps": list(inversion.maps),
        "fits": [[fit.stage, fit.psnr, fit.named] for fit in inversion.fits],
    }
    apart = {name: one.cpu().contiguous().clone() for name, one in tensors.items()}
    # One entry of metadata: safetensors writes several in an order that differs from time to time.
    return write_whole(Path(path), save(apart, {_KEY: json.dumps(said, sort_keys=True)}))


def load_inversion(path: str | Path, generator: Generator) -> Inversion:
    """The inversion that `save_inversion` wrote, of this generator.

    Raises `UsageError` where there is no such file or it is of another generator, `RunError` where it is
    damaged or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"there is no file {path}; make one with unitscope invert")
    try:
        with safe_open(path, "pt") as file:
            said = json.loads((file.metadata() or {})[_KEY])
            if said["format"] != _FORMAT:
                raise RunError(
                    f"{path} is of format {said['format']}, wanted {_FORMAT}; invert the picture again"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        if said["digest"] != generator.digest:
            raise UsageError(
                f"{path} is of another generator than {generator.name}, or of other weights; invert the "
                "picture again"
            )
        return Inversion(
            *(str(said["key"]), str(said["generator"]), str(said["digest"]), tensors["picture"].numpy()),
            *(tensors["latent"], said["kind"], str(said["layer"])),
            *(tensors["generated"], tensors["fitted"]),
            {str(place): tensors[f"maps/{place}"] for place in said["maps"]},
            tensors["residual"],
            [Fit(name, tensors[f"made/{name}"].numpy(), *values) for name, *values in said["fits"]],
            *(str(said["kind_name"]), str(said["name"])),
        )
    except (KeyError, TypeError, ValueError, SafetensorError, OSError) as error:
        raise RunError(f"{path} is no inversion, or damaged ({error!r}); invert the picture again") from error
