// All that a visitor has done: every picture's strokes with their history, and the tools in hand. It lives in
// the tab's session storage: a reload loses nothing, and no other tab sees it.

import type { EditList, Image, Mode, Off, Project, Rule, Stroke } from "./types";

export interface Version {
  strokes: Stroke[];
  off: Off[];
}

export interface History {
  versions: Version[];
  at: number;
}

export interface Tools {
  image: Image;
  blocks: number;
  paint: number;
  /** The layer chosen for a paint, where it is not the paint's own. */
  layers: Record<string, string>;
  mode: Mode;
  rule: Rule;
  size: number;
  strength: number;
  overlay: boolean;
}

interface Stored {
  version: 1;
  tools: Tools;
  pool: Stroke[];
  paintings: [Image, number, [number[], Off[]][]][];
}

export const BLANK: Version = { strokes: [], off: [] };
const MOST_VERSIONS = 200;

export class Session {
  tools: Tools;
  private paintings = new Map<Image, History>();
  private readonly key: string;
  private timer = 0;

  constructor(private readonly project: Project) {
    this.key = `unitscope paint ${project.id}`;
    this.tools = {
      image: project.photos[0]?.key ?? 0,
      blocks: 1,
      paint: 0,
      layers: {},
      mode: "draw",
      rule: "mean",
      size: 12,
      strength: 100,
      overlay: false,
    };
    this.restore();
    addEventListener("pagehide", () => this.store());
  }

  get history(): History {
    return this.paintings.get(this.tools.image) ?? { versions: [BLANK], at: 0 };
  }

  get now(): Version {
    return this.history.versions[this.history.at] ?? BLANK;
  }

  /** Whether a picture has strokes. */
  painted(image: Image): boolean {
    const history = this.paintings.get(image);
    return Boolean(history?.versions[history.at]?.strokes.length);
  }

  /** A new version of the picture at hand; what was undone is forgotten. */
  push(version: Version): void {
    const { versions, at } = this.history;
    const kept = [...versions.slice(0, at + 1), version].slice(-MOST_VERSIONS);
    this.paintings.set(this.tools.image, { versions: kept, at: kept.length - 1 });
    this.keep();
  }

  /** Goes back (-1) or forth (1) by one version, where there is one. */
  step(by: number): boolean {
    const { versions, at } = this.history;
    if (!versions[at + by]) return false;
    this.paintings.set(this.tools.image, { versions, at: at + by });
    this.keep();
    return true;
  }

  change(tools: Partial<Tools>): void {
    Object.assign(this.tools, tools);
    this.keep();
  }

  list(version: Version, image = this.tools.image): EditList {
    return {
      format: "unitscope edits",
      version: 1,
      generator: this.project.generator,
      image,
      strokes: version.strokes,
      off: version.off,
    };
  }

  private keep(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.store(), 120);
  }

  private store(): void {
    // Versions share most of their strokes: each is stored once. Where the storage is full the oldest go.
    for (let most = MOST_VERSIONS; most >= 1; most = most > 1 ? Math.floor(most / 4) : 0) {
      try {
        sessionStorage.setItem(this.key, JSON.stringify(this.pack(most)));
        return;
      } catch {
        continue;
      }
    }
  }

  private pack(most: number): Stored {
    const pool = new Map<Stroke, number>();
    const number = (stroke: Stroke): number => {
      if (!pool.has(stroke)) pool.set(stroke, pool.size);
      return pool.get(stroke) ?? 0;
    };
    const paintings: Stored["paintings"] = [...this.paintings].map(([image, { versions, at }]) => {
      const start = Math.max(0, Math.min(at, versions.length - most));
      const kept = versions.slice(start, start + most);
      return [image, at - start, kept.map(({ strokes, off }) => [strokes.map(number), off])];
    });
    return { version: 1, tools: this.tools, pool: [...pool.keys()], paintings };
  }

  private restore(): void {
    try {
      const stored = JSON.parse(sessionStorage.getItem(this.key) ?? "null") as Stored | null;
      if (stored?.version !== 1) return;
      const paintings = stored.paintings.map(([image, at, versions]): [Image, History] => [
        image,
        {
          at,
          versions: versions.map(([numbers, off]) => ({
            strokes: numbers.map((number) => {
              const stroke = stored.pool[number];
              if (!stroke) throw new Error("a stroke is missing");
              return stroke;
            }),
            off,
          })),
        },
      ]);
      this.paintings = new Map(paintings);
      Object.assign(this.tools, stored.tools);
    } catch {
      sessionStorage.removeItem(this.key);
    }
  }
}
