"""Generators that sample with a diffusion network of diffusers: a U-Net that runs step by step."""

import copy
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor, nn

from unitscope.errors import MissingWeightsError, NetworkError, UsageError
from unitscope.networks.generators import Generator
from unitscope.networks.libraries import import_library
from unitscope.networks.weights import one_line, put_weights, random_weights
from unitscope.options import check_options, read_number, split_options

STEPS = 10
"""How often the U-Net runs where nobody says it."""

_PREDICTIONS = ("epsilon", "sample", "v_prediction")
_OF_YOUR_OWN = "build what makes the images in Python and wrap it in unitscope.Generator"


class Sampler(nn.Module):
    """Makes images of noise: in each of `steps` steps a scheduler takes out what the U-Net says is noise.

    The U-Net runs once a step, so its layers at step 3 are `unet.mid_block#3`. (A scheduler that asks it
    twice in a step, such as Heun's, has twice as many calls.)
    """

    def __init__(self, unet: nn.Module, scheduler: Any, steps: int) -> None:
        super().__init__()
        self.unet, self.scheduler, self.steps = unet, scheduler, steps

    def forward(
        self, noise: Float[Tensor, "image 3 y x"], kinds: Int64[Tensor, "image"] | None = None
    ) -> Float[Tensor, "image 3 y x"]:
        """The images, their colors from -1 to 1."""
        # It counts its steps, and whoever reads a layer ends the pass early: each pass has its own.
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(self.steps)
        labels = {} if kinds is None else {"class_labels": kinds}
        image: Tensor = noise * scheduler.init_noise_sigma
        for time in scheduler.timesteps:
            noisy = scheduler.scale_model_input(image, time)
            predicted = self.unet(noisy, time, return_dict=False, **labels)[0]
            image = scheduler.step(predicted, time, image, return_dict=False)[0]
        return image

    def get_extra_state(self) -> str:
        """How is sampled, so that the network's digest changes with it."""
        known = {key: value for key, value in self.scheduler.config.items() if not key.startswith("_")}
        return json.dumps([type(self.scheduler).__name__, known, self.steps], sort_keys=True, default=str)

    def set_extra_state(self, state: object) -> None:
        """Weights are loaded alone: how is sampled was said when the sampler was made."""


def wrap_diffusion(
    unet: nn.Module, scheduler: Any = None, *, steps: int = STEPS, name: str = "diffusion"
) -> Generator:
    """A generator that samples with a U-Net of diffusers (`UNet2DModel`) from noise, which is its latent.

    `scheduler` is one of diffusers, by default `DDIMScheduler()`, whose images depend on the noise alone
    (eta = 0; Song, Meng and Ermon 2021). One that draws noise in each step, as DDPM's does, draws the same
    for the same image. It must be made for the noise that the U-Net was trained on, and is left as it is. A
    U-Net of classes has them as kinds, in turn.

    Raises `UsageError` where diffusers is missing, or for steps that the scheduler does not have;
    `NetworkError` for a U-Net that does not make RGB images of a known size from noise and a class.
    """
    diffusers = import_library("diffusers", "diffusion")
    scheduler = diffusers.DDIMScheduler() if scheduler is None else scheduler
    most = scheduler.config.get("num_train_timesteps") or STEPS
    if not 1 <= steps <= most:
        raise UsageError(f"steps is {steps}; wanted 1 to {most}, the steps that {name} was trained on")
    if not isinstance(unet, diffusers.UNet2DModel):
        raise NetworkError(
            f"{name} is {type(unet).__name__}; wanted a UNet2DModel of diffusers, or {_OF_YOUR_OWN}"
        )
    config: Any = unet.config
    if (channels := (config.in_channels, config.out_channels)) != (3, 3):
        raise NetworkError(
            f"{name} takes {channels[0]} channels and gives {channels[1]}; wanted 3, or {_OF_YOUR_OWN}"
        )
    if config.sample_size is None:
        raise NetworkError(f"{name} does not say its size; give UNet2DModel a sample_size, in pixels")
    if config.class_embed_type is not None:
        raise NetworkError(
            f"{name} takes classes as {config.class_embed_type!r}, not by number; {_OF_YOUR_OWN}"
        )
    side = config.sample_size
    height, width = (side, side) if isinstance(side, int) else side
    kinds = tuple(map(str, range(config.num_class_embeds or 0)))
    sampler = Sampler(unet, copy.deepcopy(scheduler), steps)
    return Generator(sampler, name=name, latent=(3, int(height), int(width)), kinds=kinds)


def load_diffusion(place: str, weights: Path | None = None, random: int | None = None) -> Generator:
    """The generator of a local `FOLDER[,steps=N]` that `save_pretrained` of diffusers wrote.

    It is a pipeline's, with `unet` and `scheduler`, or that of a U-Net alone. Whatever the scheduler, it is
    sampled by DDIM with eta 0 and the noise that the scheduler's configuration states; without one, that
    of DDPM is assumed, with a warning. No code of the folder is run, and nothing is fetched.

    Raises `UsageError` where diffusers or the folder is missing, `NetworkError` where the folder cannot be
    read or does not hold such a pipeline, and what `wrap_diffusion` raises.
    """
    text, given = split_options(place)
    options = check_options(name := f"diffusers:{text}", given, ("steps",))
    steps = read_number("steps", options["steps"]) if "steps" in options else STEPS
    diffusers = import_library("diffusers", "diffusion")
    folder = Path(text)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {text}; give one that save_pretrained of diffusers wrote")
    _check_parts(folder)
    unet = next((path for path in (folder / "unet", folder) if (path / "config.json").is_file()), None)
    if unet is None:
        raise NetworkError(
            f"{name} has no unet/config.json, nor a config.json; wanted what save_pretrained wrote"
        )
    with _quiet(diffusers):
        module = _make(diffusers, unet, weights, random)
        return wrap_diffusion(module, _make_scheduler(diffusers, folder), steps=steps, name=name)


def _check_parts(folder: Path) -> None:
    """Raises `NetworkError` where a pipeline's U-Net does not make the images itself."""
    index = folder / "model_index.json"
    parts = _read(index) if index.is_file() else {}
    others = [
        name
        for name, value in parts.items()
        if not name.startswith("_") and name not in ("unet", "scheduler") and value and value != [None, None]
    ]
    if others:
        seen = f"the pipeline in {folder} has more than a U-Net and a scheduler ({', '.join(others)})"
        raise NetworkError(f"{seen}; {_OF_YOUR_OWN}")


def _make(diffusers: Any, folder: Path, weights: Path | None, random: int | None) -> nn.Module:
    config, kind = _read(folder / "config.json"), diffusers.UNet2DModel
    if (found := config.get("_class_name")) != "UNet2DModel":
        raise NetworkError(f"{folder / 'config.json'} is of {found}; wanted UNet2DModel, or {_OF_YOUR_OWN}")
    if weights is None and random is None and not any(folder.glob("diffusion_pytorch_model*")):
        advice = "give --weights FILE, or ask for random weights (--random-weights SEED)"
        raise MissingWeightsError(f"{folder} has no weights, diffusion_pytorch_model.safetensors; {advice}")
    info: Mapping[str, Any] = {}
    try:
        with random_weights(random or 0):
            if weights is None and random is None:
                options = {"local_files_only": True, "low_cpu_mem_usage": False, "output_loading_info": True}
                module, info = kind.from_pretrained(str(folder), **options)
            else:
                module = kind.from_config(config)
    except Exception as error:  # its readers raise whatever a bad file makes them raise
        raise NetworkError(f"the U-Net in {folder} cannot be loaded: {one_line(error)}") from error
    if wrong := sorted(map(str, [*info.get("missing_keys", ()), *info.get("unexpected_keys", ())])):
        listed = ", ".join(wrong[:3])
        raise NetworkError(
            f"the weights in {folder} are not those of its config.json: {listed}; save it again"
        )
    if weights is not None:
        put_weights(module, weights)
    made: nn.Module = module
    return made


def _make_scheduler(diffusers: Any, folder: Path) -> Any:
    """DDIM with the noise that a folder's scheduler adds."""
    file = "scheduler_config.json"
    places = (folder / "scheduler" / file, folder / file)
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        lack = (
            f"{folder} has no {file}: the noise of DDPM is assumed (1,000 steps, betas from 0.0001 to 0.02)"
        )
        warnings.warn(lack, stacklevel=2)
        return diffusers.DDIMScheduler()
    config = _read(path)
    if "beta_schedule" not in config or config.get("prediction_type", "epsilon") not in _PREDICTIONS:
        said = f"{path} is of {config.get('_class_name')}, whose noise DDIM does not know"
        raise NetworkError(
            f"{said}; make the scheduler in Python and give it to unitscope.networks.diffusion.wrap_diffusion"
        )
    try:
        return diffusers.DDIMScheduler.from_config(config)
    except Exception as error:
        raise NetworkError(f"{path} makes no scheduler: {one_line(error)}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NetworkError(f"{path} cannot be read: {one_line(error)}; save the pipeline again") from error
    if not isinstance(found, dict):
        raise NetworkError(f"{path} holds {type(found).__name__}, not an object; save the pipeline again")
    return found


@contextmanager
def _quiet(diffusers: Any) -> Iterator[None]:
    """Without the library's own reports of what it loaded."""
    logging = diffusers.utils.logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
