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
    "small networks trained on the drawn world: scene-classifier, segmenter, generator",
    ("weights", "random"),
)
ZOO_SEGMENTER = Kind(
    "unitscope.lab.zoo.weights_files:open_segmenter", "zoo:segmenter", "the segmenter of the drawn world"
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
_COMPARING = "unitscope.lab.commands.comparisons"
_STUDYING = "unitscope.lab.commands.studies"
STUDY = Command(
    {
        "grade": Command(f"{_STUDYING}:grade", "plant units of known meaning, and name them"),
        "axis": Command(
            "unitscope.lab.commands.axis:axis", "compare a layer's units with random rotations of them"
        ),
        "labels": Command(f"{_STUDYING}:labels", "name units by true labels and by a segmenter's"),
        "depth": Command(f"{_STUDYING}:depth", "count the concepts of every layer, such as a generator's"),
        "layers": Command(f"{_COMPARING}:layers", "count the concepts of every layer of a classifier"),
        "architectures": Command(f"{_COMPARING}:architectures", "compare six styles of architecture"),
        "supervision": Command(f"{_COMPARING}:supervision", "compare labels, captions and puzzles"),
        "training": Command(f"{_COMPARING}:training", "follow units through the checkpoints of a training"),
        "conditions": Command(f"{_COMPARING}:conditions", "vary dropout, normalization and augmentation"),
        "width": Command(f"{_COMPARING}:width", "compare last layers of 64 to 1,024 units"),
        "transfer": Command(f"{_COMPARING}:transfer", "follow units through fine-tuning"),
        "discrimination": Command(f"{_COMPARING}:discrimination", "relate detectors to linear classifiers"),
        "raters": Command("unitscope.lab.commands.raters_study:raters", "rate units by scripts that err"),
        "threshold": Command(f"{_COMPARING}:threshold", "vary IoU cut-off, quantile and counting rule"),
        "all": Command(f"{_COMPARING}:everything", "run every study of paper A"),
    },
    "the experiments of the papers",
    _LABORATORY,
)
