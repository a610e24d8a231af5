// What the strokes have changed, as colors over the picture.

import { eachRun } from "../shared/brush";
import type { Change } from "./types";

const GAINED = [0, 158, 115];
const LOST = [213, 94, 0];

/** Where these concepts are new and where they are gone; nothing if there are none. */
export function paintMarks(changes: Change[], [rows, columns]: [number, number]): HTMLCanvasElement | undefined {
  if (!changes.length) return undefined;
  const canvas = document.createElement("canvas");
  [canvas.height, canvas.width] = [rows, columns];
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const data = context.createImageData(columns, rows);
  const fill = (runs: number[], color: number[]): void =>
    eachRun(runs, (start, stop) => {
      for (let place = start; place < stop; place++) data.data.set([...color, 170], 4 * place);
    });
  // What is lost in one place is gained by another concept there; the gain is drawn on top.
  for (const change of changes) fill(change.lost_runs, LOST);
  for (const change of changes) fill(change.gained_runs, GAINED);
  context.putImageData(data, 0, 0);
  return canvas;
}
