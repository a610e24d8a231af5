// What was seen lately, so that steps back and forth need not ask again.

import type { Lens } from "./lens";
import type { Tray } from "./slides";
import type { Picture, Sight } from "./types";

const KEPT = 24;

export class Sights {
  private readonly kept = new Map<string, Sight | null>();

  constructor(private readonly lens: Lens, private readonly tray: Tray) {}

  /** What is seen of a picture in a layer; null where a saved session does not tell. */
  async get(picture: Picture, key: number, layer: string, target: number | null): Promise<Sight | null> {
    const name = `${picture.image} ${layer} ${target}`;
    const held = this.kept.get(name);
    if (held !== undefined) return held;
    const found = await this.tray.ask([key], (id) => this.lens.see(id, layer, target));
    this.kept.set(name, found);
    const [oldest] = this.kept.keys();
    if (this.kept.size > KEPT && oldest !== undefined) this.kept.delete(oldest);
    return found;
  }
}
