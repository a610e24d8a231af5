// Regions of a picture, as runs.

import { Bitmap, type Mask } from "../shared/brush";
import { fill } from "./outlines";

/** Whether runs cover a pixel, counted row by row. */
export function covers(runs: number[], place: number): boolean {
  let end = 0;
  for (const [turn, length] of runs.entries()) {
    end += length;
    if (place < end) return turn % 2 === 1;
  }
  return false;
}

/** What was painted and a stroke more, on the stroke's grid: another picture may have had other proportions. */
export function join(region: Mask | null, stroke: Mask): Mask {
  if (!region) return stroke;
  const { rows, columns } = stroke;
  const whole = new Bitmap(rows, columns);
  const old = fill(region.runs, [region.rows, region.columns]);
  const added = fill(stroke.runs, [rows, columns]);
  for (let y = 0; y < rows; y++) {
    const row = Math.floor(((y + 0.5) * region.rows) / rows) * region.columns;
    for (let x = 0; x < columns; x++) {
      const was = old[row + Math.floor(((x + 0.5) * region.columns) / columns)];
      whole.pixels[y * columns + x] = was || added[y * columns + x] ? 1 : 0;
    }
  }
  return whole.mask();
}
