// What the server says, and the edit list, as it stands in files and requests.

import type { Mask } from "../shared/brush";

export type Mode = "draw" | "erase";
export const RULES = ["mean", "fullest", "quantile"] as const;
export type Rule = (typeof RULES)[number];

export interface Named {
  name: string;
  label: string;
  category: string;
  color: string;
}

export interface Unit {
  unit: number;
  iou: number;
  /** What the unit is a detector of, where that is something else. */
  own: string | null;
}

export interface PaintLayer {
  name: string;
  units: Unit[];
}

export interface Paint extends Named {
  layer: string;
  /** The share of a brush's place that becomes the concept, where it is common. */
  reach: number;
  layers: PaintLayer[];
}

export interface Project {
  id: string;
  generator: { name: string; digest: string; seed: number };
  size: [number, number];
  mask: [number, number];
  tile: [number, number];
  icon: number;
  block: number;
  images: number;
  strokes: number;
  photos: Photo[];
  /** How many bytes the file of a picture may have. */
  photo_bytes: number;
  layers: Record<string, { units: number; cells: [number, number] }>;
  paints: Paint[];
}

/** A picture from outside in the generator. */
export interface Photo {
  /** What the server calls it. */
  photo: string;
  /** What it is called in files. */
  key: string;
  picture: string;
  kind: string | null;
  stages: { stage: string; psnr: number | null; named_alike: number | null }[];
  /** Whether the generator can make something like it. */
  can: boolean;
  verdict: string;
}

/** A sample's number, or the key of a picture from outside. */
export type Image = number | string;

export interface Stroke {
  layer: string;
  units: number[];
  mode: Mode;
  rule: Rule;
  strength: number;
  concept: { name: string; category: string } | null;
  mask: Mask;
}

export interface Off {
  layer: string;
  unit: number;
}

export interface EditList {
  format: "unitscope edits";
  version: 1;
  generator: { name: string; digest: string; seed: number };
  image: Image;
  strokes: Stroke[];
  off: Off[];
  /** In files: the picture from outside itself, as PNG in base64. */
  picture?: string;
}

export interface Change extends Named {
  before: number;
  after: number;
  gained: number;
  lost: number;
  gained_runs: number[];
  lost_runs: number[];
}

export interface Changes {
  size: [number, number];
  changes: Change[];
}
