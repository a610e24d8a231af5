"""The drawn world: scenes painted by code, every pixel with a name.

To add an object, name it and its parts in `names`, write one short function that paints it beside its like
(outdoors: `nature`, `town`, `ways`, `vehicles`, `outfit`; indoors: `rooms`, `furniture`, `furnishings`,
`fixtures`), and put it into the scenes where it belongs (`landscapes`, `outings`, `interiors`,
`public_rooms`).
"""

from unitscope.lab.world.source import DrawnSource, open_drawn

__all__ = ["DrawnSource", "open_drawn"]
