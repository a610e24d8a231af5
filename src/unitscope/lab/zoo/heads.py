"""Linear heads on frozen features: fitted, saved, and put in the place of the one a network has."""

import copy
import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from unitscope.concepts.derived import HALVES, peek, source_digest, source_spec, split_source
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import NetworkError, SourceError, UsageError, missing_extra
from unitscope.files import whole_file
from unitscope.networks.feeding import read_peaks
from unitscope.networks.load import load_network
from unitscope.networks.network import Network
from unitscope.networks.trace import evaluation
from unitscope.networks.weights import one_line, random_weights
from unitscope.progress import follow_each

LEAST = 2
"""The fewest images of a class in each half."""

_MARK = "unitscope_head"
_NAMED = ",network="


@dataclass(frozen=True, eq=False)
class Head:
    """A linear layer over what the layer `layer` of a network reads; logits = weight @ features + bias.

    `network` and `digest` are those of the network it was fitted on, `record` says how: source, category,
    split (share and seed), c, and images and accuracy of both halves, overall and by class.
    """

    weight: Float32[Tensor, "classes feature"]
    bias: Float32[Tensor, "classes"]
    classes: tuple[str, ...]
    layer: str
    network: str
    digest: str
    record: Mapping[str, Any]


def fit_head(
    network: Network,
    source: ConceptSource,
    *,
    share: float = 0.5,
    seed: int = 0,
    c: float = 0.01,
    category: str | None = None,
) -> Head:
    """A head that names the images of a source by their label as a whole, fitted on half of them.

    Multinomial logistic regression with an L2 penalty (scikit-learn; `c` is the inverse of its strength) on
    what the network's last linear layer reads, every feature standardized over the images fitted on; mean
    and spread are then folded into weight and bias. The halves are those of `split_source`, which `share`
    and `seed` decide. `category` says which labels, where images carry several kinds.

    Raises `UsageError` where scikit-learn is missing or the category is not clear, `NetworkError` where no
    linear layer gives the network's output, `SourceError` where the images have no labels of their own or a
    class has fewer than `LEAST` images in a half.
    """
    _import_regression()
    if not 0 < c < float("inf"):
        raise UsageError(f"c is {c:g}; it must be above 0: small for a strong penalty")
    layer = find_last_linear(network)
    classes, category = _find_classes(source, category)
    names = tuple(classes.values())
    parts = {half: split_source(source, half, share=share, seed=seed) for half in HALVES}
    images, targets = {}, {}
    for half, part in parts.items():
        images[half], targets[half] = _find_targets(part, classes)
        _check_counts(half, targets[half], names)
    features = {
        half: read_peaks(network, f"{layer}@in", part, images[half].tolist()).astype(np.float64)
        for half, part in parts.items()
    }
    weight, bias = fit_weights(features["train"], targets["train"], len(classes), c)
    right = {half: (features[half] @ weight.T + bias).argmax(1) == targets[half] for half in HALVES}
    counts = {half: np.bincount(targets[half], minlength=len(names)).tolist() for half in HALVES}
    hits = np.bincount(targets["test"], right["test"], minlength=len(names))
    record = {
        "source": {"spec": source_spec(source), "digest": source_digest(source)},
        "category": category,
        "split": {"share": share, "seed": seed},
        "c": c,
        "images": {half: len(right[half]) for half in HALVES},
        "accuracy": {half: float(right[half].mean()) for half in HALVES},
        "classes": {
            name: {
                "train": counts["train"][place],
                "test": counts["test"][place],
                "accuracy": float(hits[place] / counts["test"][place]),
            }
            for place, name in enumerate(names)
        },
    }
    tensors = torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(bias.astype(np.float32))
    return Head(*tensors, names, layer, network.name, network.digest, record)


def fit_weights(
    features: Float64[np.ndarray, "image feature"],
    targets: Int64[np.ndarray, "image"],
    classes: int,
    c: float,
) -> tuple[Float64[np.ndarray, "classes feature"], Float64[np.ndarray, "classes"]]:
    """Weight and bias of a logistic regression on standardized features, for the features as they are.

    Raises `UsageError` where scikit-learn is missing or finds no optimum.

    >>> weight, bias = fit_weights(np.array([[0.0], [1.0], [9.0], [10.0]]), np.array([0, 0, 1, 1]), 2, c=1.0)
    >>> (np.array([[2.0], [8.0]]) @ weight.T + bias).argmax(1).tolist()
    [0, 1]
    """
    regression, unfinished = _import_regression()
    mean, spread = features.mean(0), features.std(0)
    spread[spread == 0] = 1
    model = regression(C=c, max_iter=2000)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", unfinished)
            model.fit((features - mean) / spread, targets)
    except unfinished as error:
        raise UsageError(f"the head has no optimum within reach with c={c:g}; take a smaller c") from error
    weight, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if classes == 2:  # one row stands for the difference of both
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = np.ascontiguousarray(weight / spread)
    return weight, bias - weight @ mean


def spell_head(head: Head) -> str:
    """Images and accuracy of both halves, as lines of text."""
    images, accuracy = head.record["images"], head.record["accuracy"]
    units = head.weight.shape[1]
    rows = [f"{len(head.classes)} classes on the {units} features that {head.layer} of {head.network} reads"]
    rows += [f"{half:<5}  {images[half]:>5} images  accuracy {accuracy[half]:.1%}" for half in HALVES]
    return "\n".join(rows)


def save_head(head: Head, path: str | Path) -> None:
    """Writes a head as safetensors: `weight`, `bias`, and all the rest as JSON in the file's metadata.

    Raises `RunError` where the file cannot be written.
    """
    keys = ("network", "digest", "layer", "classes", "record")
    described = {key: getattr(head, key) for key in keys}
    tensors = {"weight": head.weight.contiguous(), "bias": head.bias.contiguous()}
    with whole_file(Path(path), "name another file") as unfinished:
        # One entry: several would be written in any order, and the same head would be another file.
        unfinished.write_bytes(save(tensors, {_MARK: json.dumps(described)}))


def load_head(path: str | Path) -> Head:
    """The head that `save_head` wrote; nothing in the file is executed.

    Raises `UsageError` where there is no such file, `NetworkError` where it is no head.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"there is no head {path}; `unitscope zoo head NETWORK --images SOURCE` fits one")
    try:
        with safe_open(path, framework="pt") as file:
            described = json.loads((file.metadata() or {})[_MARK])
            tensors = {name: file.get_tensor(name).float() for name in ("weight", "bias")}
        texts = {key: str(described[key]) for key in ("layer", "network", "digest")}
        classes = tuple(str(name) for name in described["classes"])
        record = dict(described["record"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise NetworkError(
            f"{path} is no head; wanted a file that `unitscope zoo head NETWORK --images SOURCE` wrote"
        ) from error
    weight, bias = tensors["weight"], tensors["bias"]
    if weight.ndim != 2 or bias.shape != (len(weight),) or len(classes) != len(weight):
        raise NetworkError(
            f"{path} is damaged: weights {tuple(weight.shape)} and bias {tuple(bias.shape)} for "
            f"{len(classes)} classes; fit it again"
        )
    return Head(weight, bias, classes, texts["layer"], texts["network"], texts["digest"], record)


def replace_head(network: Network, head: Head) -> Network:
    """A copy of the network with the head in the place of its last linear layer, and the head's classes.

    Layers keep their names. Raises `NetworkError` where the head was fitted on other weights.
    """
    if network.digest != head.digest:
        raise NetworkError(
            f"the head was fitted on {head.network} with digest {head.digest[:12]}, and {network.name} has "
            f"{network.digest[:12]}; open it with the same weights, or fit it again"
        )
    module = copy.deepcopy(network.module)
    outer, _, name = head.layer.rpartition(".")
    try:
        old = module.get_submodule(head.layer)
    except AttributeError:
        old = None
    if not isinstance(old, nn.Linear) or old.in_features != head.weight.shape[1]:
        raise NetworkError(f"{network.name} has no linear layer {head.layer!r} for this head; fit it again")
    with random_weights(0):
        new = nn.Linear(head.weight.shape[1], len(head.classes))
    new.load_state_dict({"weight": head.weight, "bias": head.bias})
    setattr(module.get_submodule(outer), name, new.to(old.weight.device, old.weight.dtype).eval())
    return replace(network, module=module, classes=head.classes)


def open_head(text: str, **options: Any) -> Network:
    """The network of `FILE.safetensors[,network=NETWORK]`: a head, on the network it was fitted on.

    `load_network` opens that network with the options: the one recorded in the file, or the one named. A file
    of Python code is opened only where it is named here: no file decides which code is run.

    Raises what `load_head`, `replace_head` and `load_network` raise, and `UsageError` where the network must
    be named.
    """
    file, _, named = text.partition(_NAMED)
    head = load_head(file)
    if not named and ".py:" in head.network:
        raise UsageError(
            f"{file} was fitted on {head.network}, code that runs only if you name it; "
            f"say head:{file}{_NAMED}{head.network}"
        )
    spec = named or head.network
    if spec.startswith("head:"):
        raise UsageError(f"{file} stands on another head, {spec}; fit it on the network below that")
    return replace_head(load_network(spec, **options), head)


def find_last_linear(network: Network) -> str:
    """The name of the network's last linear layer, if it reads one vector an image and gives the output.

    Raises `NetworkError` where there is no such layer.
    """
    parts = network.module.named_modules()
    linear: list[str] = [name for name, part in parts if name and isinstance(part, nn.Linear)]
    if not linear:
        raise NetworkError(f"{network.name} has no linear layer that a head could stand for")
    name = linear[-1]
    seen: list[tuple[Tensor, Tensor]] = []
    batch = network.blank()
    with evaluation(network), torch.no_grad():
        hook = network.module.get_submodule(name).register_forward_hook(
            lambda _module, args, output: seen.append((args[0], output))
        )
        try:
            output = network.run(batch)
        except RuntimeError as error:
            raise NetworkError(f"{network.name} failed on a blank image: {one_line(error)}") from error
        finally:
            hook.remove()
    output = getattr(output, "logits", output)
    if len(seen) != 1 or seen[0][0].ndim != 2 or not isinstance(output, Tensor):
        raise NetworkError(f"{name}, the last linear layer of {network.name}, reads no vector an image")
    if not torch.equal(seen[0][1], output):
        raise NetworkError(f"{name}, the last linear layer of {network.name}, does not give its output")
    return name


def _find_classes(source: ConceptSource, category: str | None) -> tuple[dict[int, str], str]:
    """The concepts that label whole images, of one category, by id; and that category."""
    words = source.vocabulary
    if category is not None and category not in words.categories:
        raise UsageError(f"the source has no category {category!r}; it has {', '.join(words.categories)}")
    numbers = follow_each(range(len(source)), "reading labels")
    labels = sorted({one for index in numbers for one in peek(source, index)[1]})
    found = {words[one].category for one in labels}
    if category is None and len(found) > 1:
        raise UsageError(f"images are labelled by {' and '.join(sorted(found))}; say which with --category")
    chosen = {one: words[one].label for one in labels if category in (None, words[one].category)}
    if not chosen:
        kind = f"{category} " if category else ""
        raise SourceError(
            f"no image of {source_spec(source)} has a {kind}label as a whole; "
            "wanted a folder of folders named by class, or drawn scenes"
        )
    if len(chosen) < 2:
        raise SourceError(
            f"all labelled images are {next(iter(chosen.values()))!r}; a head needs two classes"
        )
    return chosen, words[next(iter(chosen))].category


def _find_targets(
    source: ConceptSource, classes: Mapping[int, str]
) -> tuple[Int64[np.ndarray, "image"], Int64[np.ndarray, "image"]]:
    """Images with exactly one of the classes, and which: its place among them."""
    places = {one: place for place, one in enumerate(classes)}
    pairs = []
    for index in follow_each(range(len(source)), "finding the classes"):
        found = [places[one] for one in peek(source, index)[1] if one in places]
        if len(found) == 1:
            pairs.append((index, found[0]))
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _check_counts(half: str, targets: Int64[np.ndarray, "image"], names: Sequence[str]) -> None:
    counts = Counter(targets.tolist())
    for place, name in enumerate(names):
        if counts[place] < LEAST:
            raise SourceError(
                f"class {name!r} has too few images in the {half} half, {counts[place]}; wanted {LEAST} or "
                "more, so give more images or another split"
            )


def _import_regression() -> tuple[type, type[Warning]]:
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise missing_extra("scikit-learn", "fits heads", "heads") from error
    return LogisticRegression, ConvergenceWarning
