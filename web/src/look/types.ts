// What the server says, as it stands in answers and in saved sessions.

import type { Mask } from "../shared/brush";

export interface Project {
  id: string;
  network: { name: string; digest: string };
  run: { source: string; images: number; convention: string; iou_cutoff: number };
  classes: string[];
  count: number;
  size: [number, number];
  categories: { name: string; color: string }[];
  layers: Layer[];
  /** Layers of the run that cannot be looked through, with the reason. */
  left_out: Record<string, string>;
  concepts: Concept[];
  samples: number;
  block: number;
  tile: [number, number];
  samples_note: string | null;
  limits: { bytes: number; pixels: number; pictures: number; edits: number; draws: number; cards: number; shown: number };
  attacks: string[];
}

export interface Layer {
  layer: string;
  units: number;
  cells: [number, number];
  mask: [number, number];
  kind: "units" | "latents" | "heads";
  tokens: { class: number; registers: number } | null;
  named: { formula: boolean; word: boolean };
}

export interface Concept {
  concept: number;
  name: string;
  label: string;
  category: string;
  color: string;
  /** By layer the units that detect it. */
  units: Record<string, number[]>;
}

export interface Unit {
  unit: number;
  title: string;
  label: string | null;
  category: string | null;
  color: string | null;
  concept: number | null;
  iou: number | null;
  q: number | null;
  detector: boolean;
  threshold: number | null;
  high: number | null;
  formula: Other | null;
  word: Other | null;
}

/** A name that a unit has beside its concept; null is what the table does not say. */
export interface Other {
  text: string;
  iou: number | null;
  score: number | null;
  q: number | null;
}

export interface Picture {
  picture: string;
  name: string;
  image: string;
  shown: [number, number];
  note: string | null;
  truth: number | null;
  exact: boolean;
  classes: { class: number; name: string; probability: number; logit: number }[];
}

export interface Firing {
  unit: number;
  peak: number;
  area: number;
  contribution: number | null;
  class_token: number | null;
  runs: number[];
}

export interface Sight {
  layer: string;
  class: number;
  name: string;
  logit: number;
  probability: number;
  sum: {
    method: string;
    rest: number | null;
    gap: number | null;
    shown: { unit: number; contribution: number; share: number | null }[];
    others: number;
    other_units: number;
  };
  tokens: { reads: string[]; lost: Record<string, number> } | null;
  mask: [number, number];
  fired: number;
  left_out: number;
  units: Firing[];
}

export interface Place {
  row: number;
  column: number;
  units: { unit: number; activation: number }[];
  left_out: number;
}

export interface Top {
  key: string;
  peak: number;
  image: string | null;
  mask: [number, number];
  runs: number[];
}

export interface Card extends Unit {
  layer: string;
  p: number | null;
  iou_low: number | null;
  iou_high: number | null;
  heldout: number | null;
  runner_up: { label: string; category: string; color: string; iou: number } | null;
  categories: { category: string; color: string; label: string | null; iou: number | null }[];
  tops: Top[];
  tops_note: string | null;
  classes: { class: number; name: string; lost: number }[];
  classes_over: number;
}

/** A switch as the server takes it: units, or all that detect a concept, go towards a level. */
export type Edit = ({ units: number[]; layer: string } | { concept: number; layer: string | null }) & {
  level: number;
  strength: number;
  place: Mask | null;
};

export interface Turned {
  classes: {
    class: number;
    name: string;
    before: number;
    after: number;
    control: number | null;
    low: number | null;
    high: number | null;
  }[];
  units: number;
  control_units: number;
  draws: number;
  from: string | null;
}

export interface Comparison {
  mask: [number, number];
  both: number;
  only: [number, number];
  left_out: number;
  rows: {
    unit: number;
    peak: [number, number];
    area: [number, number];
    fires: [boolean, boolean];
    change: number;
    relative: number | null;
  }[];
}

export interface Attack {
  state: "waiting" | "running" | "done" | "cancelled" | "failed";
  done: number;
  steps: number;
  error: string | null;
  picture: Picture | null;
  success: boolean | null;
  source: number;
  target: number;
  l2: number | null;
  linf: number | null;
}

/** What is saved: all that the page shows of some pictures, without a server. */
export interface Saved {
  format: "unitscope look";
  version: 1;
  project: Project;
  layers: { layer: string; units: Unit[] }[];
  pictures: { picture: Picture; fitted: string; sees: Record<string, Sight>; turned: Turned | null }[];
  compared: Record<string, Comparison> | null;
  cards: Card[];
  edits: Edit[];
  class: number | null;
  state: unknown;
}
