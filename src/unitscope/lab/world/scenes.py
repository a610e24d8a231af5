"""The scenes of the drawn world by name."""

from collections.abc import Callable

from unitscope.lab.world import interiors, landscapes, outings, public_rooms
from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.light import Chance, choose_light
from unitscope.lab.world.names import SCENES

INDOORS: dict[str, Callable[[Canvas], None]] = {
    "bedroom": interiors.bedroom,
    "kitchen": interiors.kitchen,
    "office": interiors.office,
    "living_room": interiors.living_room,
    "dining_room": interiors.dining_room,
    "bathroom": interiors.bathroom,
    "classroom": public_rooms.classroom,
    "library": public_rooms.library,
    "cafe": public_rooms.cafe,
    "gallery": public_rooms.gallery,
}
OUTDOORS: dict[str, Callable[[Canvas], None]] = {
    "street": landscapes.street,
    "park": landscapes.park,
    "beach": landscapes.beach,
    "mountain_lake": landscapes.mountain_lake,
    "harbor": landscapes.harbor,
    "farm": landscapes.farm,
    "forest": outings.forest,
    "garden": outings.garden,
    "market": outings.market,
    "playground": outings.playground,
    "railway_station": outings.railway_station,
    "campsite": outings.campsite,
    "riverside": outings.riverside,
    "snowfield": outings.snowfield,
}


def pick_scene(seed: int, index: int) -> str:
    """The scene that picture `index` of a seed shows."""
    return Chance(seed, index).pick(SCENES)


def paint(seed: int, index: int, size: int, scene: str | None = None) -> tuple[str, Canvas]:
    """Paints picture `index` of a seed; its scene is chosen at random unless it is given."""
    chance = Chance(seed, index)
    picked = chance.pick(SCENES)
    name = scene or picked
    indoors = name in INDOORS
    canvas = Canvas(size, chance, choose_light(chance, indoors=indoors))
    (INDOORS if indoors else OUTDOORS)[name](canvas)
    return name, canvas
