// The brush: what it has covered, as a bitmap of a few pixels and as runs.

/** Lengths, row by row, of what is outside and inside in turn. */
export interface Mask {
  rows: number;
  columns: number;
  runs: number[];
}

export interface Point {
  x: number;
  y: number;
}

/** The pixels that a brush covers along the lines it was drawn. */
export class Bitmap {
  readonly pixels: Uint8Array;

  constructor(readonly rows: number, readonly columns: number) {
    this.pixels = new Uint8Array(rows * columns);
  }

  /** Covers what is within `radius` of the line; points are in pixels of the bitmap. */
  cover(from: Point, to: Point, radius: number): void {
    const reach = Math.max(radius, 0.71);
    const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - reach));
    const bottom = Math.min(this.rows - 1, Math.ceil(Math.max(from.y, to.y) + reach));
    const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - reach));
    const right = Math.min(this.columns - 1, Math.ceil(Math.max(from.x, to.x) + reach));
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        if (distance({ x: x + 0.5, y: y + 0.5 }, from, to) <= reach) this.pixels[y * this.columns + x] = 1;
      }
    }
  }

  /** Lengths of what is left out and what is covered, in turn. */
  mask(): Mask {
    const runs: number[] = [];
    let covered = 0;
    let length = 0;
    for (const pixel of this.pixels) {
      if (pixel !== covered) {
        runs.push(length);
        covered = pixel;
        length = 0;
      }
      length++;
    }
    runs.push(length);
    return { rows: this.rows, columns: this.columns, runs };
  }

  get empty(): boolean {
    return !this.pixels.includes(1);
  }
}

function distance(point: Point, from: Point, to: Point): number {
  const along = { x: to.x - from.x, y: to.y - from.y };
  const length = along.x * along.x + along.y * along.y;
  const share = length ? ((point.x - from.x) * along.x + (point.y - from.y) * along.y) / length : 0;
  const near = Math.min(1, Math.max(0, share));
  return Math.hypot(point.x - from.x - near * along.x, point.y - from.y - near * along.y);
}

/** Calls `fill` with (start, stop) of every covered run. */
export function eachRun(runs: number[], fill: (start: number, stop: number) => void): void {
  let place = 0;
  runs.forEach((length, turn) => {
    if (turn % 2 && length) fill(place, place + length);
    place += length;
  });
}
