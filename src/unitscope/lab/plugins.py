"""What the laboratory brings to unitscope by name, as any other package would."""

from unitscope.plugins import Command, Kind

DRAWN = Kind(
    "unitscope.lab.world.source:open_named",
    "drawn[:count=N,seed=N,size=N]",
    "scenes painted by code, whose every pixel has a name",
    ("count", "seed", "size"),
)
ZOO = Kind(
    "unitscope.lab.zoo.weights_files:load_zoo",
    "zoo:NAME",
    "small networks trained on the drawn world: scene-classifier, scene-transformer, segmenter, generator, "
    "captioned",
    ("weights", "random"),
)
HEAD = Kind(
    "unitscope.lab.zoo.heads:open_head",
    "head:FILE",
    "a head that `unitscope zoo head` fitted, on its network",
    ("weights", "random", "download"),
)
ZOO_SEGMENTER = Kind(
    "unitscope.lab.zoo.weights_files:open_segmenter", "zoo:segmenter", "the segmenter of the drawn world"
)
ZOO_TEXT_MODEL = Kind(
    "unitscope.lab.zoo.text_model:open_text_model",
    "zoo:captioned",
    "two towers that have learned what sentences say of drawn scenes",
)
OWN_SEGMENTER = Kind(
    "unitscope.lab.zoo.parser:open_segmenter",
    "FILE.safetensors",
    "what `unitscope zoo train segmenter --images SOURCE` wrote",
)

_LABORATORY = "Laboratory"
DEMO = Command("unitscope.lab.commands.demo:demo", "a tour of what ships, offline", _LABORATORY)
ZOO_COMMANDS = Command(
    {
        "train": Command("unitscope.lab.commands.zoo:train", "train a network of the zoo, or a segmenter"),
        "grade": Command("unitscope.lab.commands.zoo:grade", "grade one on pictures it has not seen"),
        "head": Command("unitscope.lab.commands.zoo:head", "fit a linear head on frozen features"),
    },
    "small networks trained on the drawn world",
    _LABORATORY,
)
_STUDIES = {
    "measurements": {
        "grade": "plant units of known meaning, and name them",
        "labels": "name units by true labels and by a segmenter's",
        "depth": "count the concepts of every layer, such as a generator's",
        "raters": "rate units by scripts that err",
        "scores": "grade scores of names, by units of known names",
    },
    "studies": {
        "axis": "compare a layer's units with random rotations of them",
        "layers": "count the concepts of every layer of a classifier",
        "architectures": "compare six styles of architecture",
        "supervision": "compare labels, captions and puzzles",
        "training": "follow units through the checkpoints of a training",
        "conditions": "vary dropout, normalization and augmentation",
        "width": "compare last layers of 64 to 1,024 units",
        "transfer": "follow units through fine-tuning",
        "discrimination": "relate detectors to linear classifiers",
        "threshold": "vary IoU cut-off, quantile and counting rule",
        "all": "run every study of paper A",
    },
    "directions": {
        "directions": "compare units with autoencoders and other directions",
        "edits": "remove and insert latents in a classifier and a generator",
    },
    "words": {
        "words": "name units by words, and by labels",
    },
    "units": {
        "shape": "see whether units follow shape or texture",
        "detectors": "take single units for detectors of concepts",
    },
    "generators": {
        "artifacts": "look for artifact units of a generator, and remove them",
        "spread": "follow insertions through the later layers of a generator",
        "generators": "compare a generator's recipe with variants of it",
    },
    "painting": {"painting": "paint on given pictures, and on a generator's own"},
    "formulas": {"formulas": "name units by formulas, and try these on other images"},
}
STUDY = Command(
    {
        name: Command(f"unitscope.lab.commands.{module}:{'everything' if name == 'all' else name}", line)
        for module, studies in _STUDIES.items()
        for name, line in studies.items()
    },
    "the experiments of the papers",
    _LABORATORY,
)
