"""The drawn world: scenes painted by code, every pixel with a name.

To add an object, name it and its parts in `names`, write one short function that paints it (in `nature`,
`town`, `ways`, `outfit`, `rooms` or `furniture`), and put it into the scenes where it belongs
(`landscapes`, `interiors`).
"""

from unitscope.concepts.drawn.source import DrawnSource, open_drawn

__all__ = ["DrawnSource", "open_drawn"]
