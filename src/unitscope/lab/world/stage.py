"""Puts things on the ground of a picture and paints them from far to near."""

from collections.abc import Callable
from dataclasses import dataclass, field

from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.light import Number

Painter = Callable[[Canvas, Number, Number, Number], object]
"""Paints a thing whose foot is at (x, y), where a meter is so long: `tree(canvas, x, y, m)`."""


@dataclass
class Stage:
    """Things that wait to be painted."""

    canvas: Canvas
    waiting: list[tuple[Number, Number, Painter]] = field(default_factory=list)

    def put(self, painter: Painter, x: Number, y: Number) -> None:
        """One thing at a place."""
        self.waiting.append((y, x, painter))

    def maybe(self, probability: Number, painter: Painter, rows: tuple[Number, Number]) -> None:
        """One thing somewhere between two rows, or none."""
        if self.canvas.chance.maybe(probability):
            self.scatter(painter, 1, rows)

    def scatter(
        self,
        painter: Painter,
        count: int,
        rows: tuple[Number, Number],
        columns: tuple[Number, Number] = (3, 97),
    ) -> None:
        """So many of a thing between two rows and two columns, apart from one another."""
        r = self.canvas.chance
        for k in range(count):
            width = (columns[1] - columns[0]) / count
            x = columns[0] + width * (k + r.between(0.1, 0.9))
            # as many things far away as near: rows crowd toward the horizon
            y = rows[0] + (rows[1] - rows[0]) * r.between(0, 1) ** 1.4
            self.put(painter, x, y)

    def paint(self) -> None:
        """Paints all that wait, the farthest first."""
        for y, x, painter in sorted(self.waiting, key=lambda thing: thing[0]):
            painter(self.canvas, x, y, self.canvas.meter(y))
        self.waiting.clear()
