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
DEMO = Command("unitscope.lab.commands.demo:demo", "the whole story on what ships, offline", _LABORATORY)
ZOO_COMMANDS = Command(
    {
        "train": Command("unitscope.lab.commands.zoo:train", "train a network of the zoo, or a segmenter"),
        "grade": Command("unitscope.lab.commands.zoo:grade", "grade one on pictures it has not seen"),
        "head": Command("unitscope.lab.commands.zoo:head", "fit a linear head on frozen features"),
    },
    "small networks trained on the drawn world",
    _LABORATORY,
)
STUDY = Command(
    {},
    "the experiments of the papers",
    _LABORATORY,
)
