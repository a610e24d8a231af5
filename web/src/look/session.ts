// All that a visitor has done: pictures, switches and the steps between them, and the tools in hand. It lives in
// the tab's session storage: a reload loses nothing, and no other tab sees it.

import type { Mask } from "../shared/brush";
import type { Project } from "./types";

/** Units, or a concept, that are switched; `under` the brush or everywhere. */
export interface Switch {
  layer: string | null;
  units: number[] | null;
  concept: number | null;
  level: number;
  strength: number;
  under: boolean;
}

/** One step: what is under the lens, what is asked of it, what is switched. */
export interface Step {
  picture: number | null;
  other: number | null;
  class: number | null;
  switches: Switch[];
  region: Mask | null;
}

/** A picture of the visitor's, by whatever it can be had again from. */
export interface Slide {
  key: number;
  name: string;
  sample: number | null;
  /** Its pixels are as the network reads them. */
  fitted: boolean;
  /** Its id at the server, which may have forgotten it. */
  id: string | null;
}

export type Naming = "label" | "formula" | "word";

export interface Tools {
  layer: string;
  naming: Naming;
  order: "contribution" | "peak" | "area" | "iou";
  brush: boolean;
  /** A concept is switched in all layers. */
  everywhere: boolean;
  size: number;
  blocks: number;
  card: { layer: string; unit: number } | null;
  seen: { layer: string; unit: number }[];
  layers: string[];
}

interface Stored {
  version: 1;
  tab: string;
  visit: string | null;
  tools: Tools;
  slides: Slide[];
  steps: Step[];
  at: number;
}

const BLANK: Step = { picture: null, other: null, class: null, switches: [], region: null };
const MOST_STEPS = 100;

export class Session {
  readonly tools: Tools;
  slides: Slide[] = [];
  visit: string | null = null;
  /** Names the tab, for what is too large for its storage. */
  tab = [...crypto.getRandomValues(new Uint32Array(4))].join("-");
  private steps: Step[] = [BLANK];
  private at = 0;
  private timer = 0;
  private readonly key: string;

  constructor(project: Project, private readonly kept: boolean) {
    this.key = `unitscope look ${project.id}`;
    this.tools = {
      layer: project.layers[project.layers.length - 1]?.layer ?? "",
      naming: "label",
      order: "contribution",
      brush: false,
      everywhere: false,
      size: 14,
      blocks: 1,
      card: null,
      seen: [],
      layers: [],
    };
    if (!kept) return;
    this.restore();
    if (!project.layers.some((one) => one.layer === this.tools.layer)) {
      this.tools.layer = project.layers[0]?.layer ?? "";
    }
    addEventListener("pagehide", () => this.store());
  }

  get now(): Step {
    return this.steps[this.at] ?? BLANK;
  }

  get first(): boolean {
    return this.at === 0;
  }

  get last(): boolean {
    return this.at === this.steps.length - 1;
  }

  /** A new step; what was undone is forgotten. With `over` it takes the place of the one at hand. */
  push(change: Partial<Step>, over = false): void {
    const kept = this.steps.slice(0, over ? this.at : this.at + 1);
    this.steps = [...kept, { ...this.now, ...change }].slice(-MOST_STEPS);
    this.at = this.steps.length - 1;
    this.keep();
  }

  /** Goes back (-1) or forth (1) by one step, where there is one. */
  move(by: number): boolean {
    if (!this.steps[this.at + by]) return false;
    this.at += by;
    this.keep();
    return true;
  }

  change(tools: Partial<Tools>): void {
    Object.assign(this.tools, tools);
    this.keep();
  }

  slide(key: number | null): Slide | undefined {
    return this.slides.find((one) => one.key === key);
  }

  /** A picture more; its key. */
  add(slide: Omit<Slide, "key">): number {
    const key = Math.max(0, ...this.slides.map((one) => one.key)) + 1;
    this.slides.push({ key, ...slide });
    this.keep();
    return key;
  }

  keep(): void {
    if (!this.kept) return;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.store(), 120);
  }

  private store(): void {
    const { tab, visit, tools, slides } = this;
    // Where the storage is full the oldest steps go.
    for (let most = MOST_STEPS; most >= 1; most = most > 1 ? Math.floor(most / 4) : 0) {
      const start = Math.max(0, Math.min(this.at, this.steps.length - most));
      const steps = this.steps.slice(start, start + most);
      const stored: Stored = { version: 1, tab, visit, tools, slides, steps, at: this.at - start };
      try {
        sessionStorage.setItem(this.key, JSON.stringify(stored));
        return;
      } catch {
        continue;
      }
    }
  }

  private restore(): void {
    try {
      const stored = JSON.parse(sessionStorage.getItem(this.key) ?? "null") as Stored | null;
      if (stored?.version !== 1) return;
      Object.assign(this.tools, stored.tools);
      this.tab = stored.tab;
      this.visit = stored.visit;
      this.slides = stored.slides;
      this.steps = stored.steps;
      this.at = stored.at;
    } catch {
      sessionStorage.removeItem(this.key);
    }
  }
}
