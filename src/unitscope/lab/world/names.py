"""Everything the drawn world has a name for.

Every category owns a range of ids, and names are only ever appended, so an id never changes its meaning.
"""

from itertools import chain

from unitscope.concepts.vocabulary import Concept, Vocabulary

COLORS = ("black", "blue", "brown", "grey", "green", "orange", "pink", "purple", "red", "white", "yellow")

SCENES = (
    *("street", "park", "beach", "mountain_lake", "harbor", "farm", "bedroom", "kitchen", "office"),
    *("forest", "garden", "market", "playground", "railway_station", "campsite", "riverside", "snowfield"),
    *("living_room", "dining_room", "bathroom", "classroom", "library", "cafe", "gallery"),
)

MATERIALS = (
    *("wood", "brick", "stone", "plaster", "metal", "glass", "fabric", "foliage", "skin", "water"),
    *("sand", "asphalt", "ceramic", "fur", "snow", "rubber", "paper"),
)

TEXTURES = (
    *("striped", "banded", "polka-dotted", "chequered", "grid", "zigzagged", "marbled", "woven"),
    *("speckled", "scaly", "cracked"),
)

OBJECT_PARTS: dict[str, tuple[str, ...]] = {
    "sky": (),
    "cloud": (),
    "sun": (),
    "moon": (),
    "mountain": ("slope", "snow cap"),
    "grass": (),
    "water": (),
    "sand": (),
    "road": ("lane marking",),
    "sidewalk": (),
    "tree": ("trunk", "crown"),
    "plant": ("leaves", "blossom", "pot"),
    "rock": (),
    "house": ("facade", "roof", "chimney"),
    "building": ("facade", "roof", "awning"),
    "window": ("window pane", "window frame"),
    "door": ("door panel", "handle"),
    "fence": ("post", "rail"),
    "pier": ("deck", "post"),
    "bench": ("seat", "backrest", "leg"),
    "lamp": ("pole", "shade", "bulb"),
    "umbrella": ("canopy", "pole"),
    "car": ("car body", "window pane", "wheel", "headlight"),
    "boat": ("hull", "mast", "sail"),
    "person": ("head", "hair", "torso", "arm", "leg"),
    "cow": ("torso", "head", "horn", "leg"),
    "bird": ("torso", "wing"),
    "wall": (),
    "floor": (),
    "ceiling": (),
    "rug": (),
    "curtain": (),
    "painting": ("picture", "picture frame"),
    "table": ("tabletop", "leg"),
    "chair": ("seat", "backrest", "leg"),
    "bed": ("headboard", "mattress", "blanket", "pillow"),
    "cabinet": ("drawer", "handle"),
    "shelf": (),
    "book": (),
    "stove": ("burner", "oven door", "handle"),
    "sink": ("basin", "faucet"),
    "monitor": ("screen", "stand"),
    "clock": ("dial", "hand"),
    "snow": (),
    "train": ("car body", "window pane", "wheel", "headlight"),
    "truck": ("car body", "window pane", "wheel", "headlight"),
    "bicycle": ("wheel", "bicycle frame", "seat"),
    "bridge": ("deck", "arch", "rail"),
    "tent": ("canvas", "entrance"),
    "stall": ("canopy", "counter", "post"),
    "crate": (),
    "sign": ("board", "pole"),
    "slide": ("chute", "ladder"),
    "swing": ("seat", "rope", "post"),
    "fountain": ("basin", "jet"),
    "dog": ("torso", "head", "leg", "tail"),
    "sofa": ("seat", "backrest", "pillow"),
    "bathtub": ("basin", "faucet"),
    "toilet": ("seat", "tank"),
    "mirror": ("mirror frame",),
    "towel": (),
    "blackboard": ("board",),
    "sculpture": ("figure", "pedestal"),
    "fireplace": ("mantel", "flame"),
    "refrigerator": ("door panel", "handle"),
    "stairs": ("step", "rail"),
}
"""Every object and the parts it may have; the rest of an object carries no part."""

PART_OWNERS: dict[str, tuple[str, ...]] = {
    part: tuple(f"object/{name}" for name, parts in OBJECT_PARTS.items() if part in parts)
    for part in dict.fromkeys(chain.from_iterable(OBJECT_PARTS.values()))
}
"""The objects that every part may belong to."""

PARTS = tuple(PART_OWNERS)

FIRST_ID = {"color": 1, "scene": 21, "material": 71, "texture": 101, "object": 131, "part": 231}


def _ids(category: str, names: tuple[str, ...]) -> dict[str, int]:
    return {name: FIRST_ID[category] + place for place, name in enumerate(names)}


COLOR_IDS = _ids("color", COLORS)
SCENE_IDS = _ids("scene", SCENES)
MATERIAL_IDS = _ids("material", MATERIALS)
TEXTURE_IDS = _ids("texture", TEXTURES)
OBJECT_IDS = _ids("object", tuple(OBJECT_PARTS))
PART_IDS = _ids("part", PARTS)


def drawn_vocabulary() -> Vocabulary:
    """The concepts of the drawn world, of all six categories, in order of their ids.

    >>> words = drawn_vocabulary()
    >>> words.categories
    ('object', 'part', 'scene', 'material', 'texture', 'color')
    >>> words[OBJECT_IDS["tree"]].label
    'tree'
    """
    return Vocabulary(
        (
            *(Concept(i, f"{name}-c", "color") for name, i in COLOR_IDS.items()),
            *(Concept(i, f"{name}-s", "scene") for name, i in SCENE_IDS.items()),
            *(Concept(i, name, "material") for name, i in MATERIAL_IDS.items()),
            *(Concept(i, name, "texture") for name, i in TEXTURE_IDS.items()),
            *(Concept(i, name, "object") for name, i in OBJECT_IDS.items()),
            *(Concept(i, name, "part") for name, i in PART_IDS.items()),
        )
    )
