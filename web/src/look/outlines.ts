// The outline of a bitmap, as a path for SVG: around every region once, corners rounded.

import { eachRun } from "../shared/brush";

type Corner = readonly [number, number];

/** The pixels that runs cover. */
export function fill(runs: number[], [rows, columns]: [number, number]): Uint8Array {
  const pixels = new Uint8Array(rows * columns);
  eachRun(runs, (start, stop) => pixels.fill(1, start, stop));
  return pixels;
}

/** The outlines of what runs cover; a unit is a pixel of the bitmap. Empty where nothing is covered. */
export function trace(runs: number[], sides: [number, number]): string {
  return loop(edges(fill(runs, sides), sides)).map(round).join("");
}

/** All of the picture but what lies inside the outlines. */
export function traceOutside(path: string, [rows, columns]: [number, number]): string {
  return `M0 0H${columns}V${rows}H0Z${path}`;
}

/** Edges between inside and outside, from corner to corner, the inside to the right of each. */
function edges(pixels: Uint8Array, [rows, columns]: [number, number]): Map<string, Corner[]> {
  const found = new Map<string, Corner[]>();
  const inside = (y: number, x: number): boolean =>
    y >= 0 && x >= 0 && y < rows && x < columns && pixels[y * columns + x] === 1;
  const add = (from: Corner, to: Corner): void => {
    const name = from.join();
    found.set(name, [...(found.get(name) ?? []), to]);
  };
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      if (!inside(y, x)) continue;
      if (!inside(y - 1, x)) add([x, y], [x + 1, y]);
      if (!inside(y, x + 1)) add([x + 1, y], [x + 1, y + 1]);
      if (!inside(y + 1, x)) add([x + 1, y + 1], [x, y + 1]);
      if (!inside(y, x - 1)) add([x, y + 1], [x, y]);
    }
  }
  return found;
}

/** Closed loops of corners; where two touch at a corner they stay two. */
function loop(found: Map<string, Corner[]>): Corner[][] {
  const loops: Corner[][] = [];
  for (const [name, ends] of found) {
    while (ends.length) {
      const start = name.split(",").map(Number) as [number, number];
      const corners: Corner[] = [start];
      let at: Corner = start;
      let way: Corner = [0, 0];
      for (;;) {
        const next = turnRight(found.get(at.join()) ?? [], at, way);
        if (!next) break;
        way = [next[0] - at[0], next[1] - at[1]];
        at = next;
        if (at[0] === start[0] && at[1] === start[1]) break;
        corners.push(at);
      }
      loops.push(corners);
    }
  }
  return loops;
}

function turnRight(ends: Corner[], at: Corner, way: Corner): Corner | undefined {
  const right = ends.findIndex((end) => end[0] - at[0] === -way[1] && end[1] - at[1] === way[0]);
  return ends.splice(Math.max(0, right), 1)[0];
}

/** From middle to middle of the edges, bent where they turn: a staircase becomes a slope, a straight edge stays. */
function round(corners: Corner[]): string {
  const count = corners.length;
  const at = (place: number): Corner => corners[(place + count) % count] ?? [0, 0];
  const middle = (place: number): string => `${(at(place)[0] + at(place + 1)[0]) / 2} ${(at(place)[1] + at(place + 1)[1]) / 2}`;
  const curves = corners.map((corner, place) => {
    const [before, after] = [at(place - 1), at(place + 1)];
    const straight = before[0] + after[0] === 2 * corner[0] && before[1] + after[1] === 2 * corner[1];
    return straight ? "" : `L${middle(place - 1)}Q${corner[0]} ${corner[1]} ${middle(place)}`;
  });
  return `M${middle(-1)}${curves.join("")}Z`;
}
