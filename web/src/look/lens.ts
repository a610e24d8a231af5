// Whoever answers: the server, or a saved session that stands in the page.

import { ask, askStrip, post, Refused } from "../shared/server";
import type { Attack, Card, Comparison, Edit, Picture, Place, Project, Saved, Sight, Turned, Unit } from "./types";

/** What can be asked of pictures, by their ids. */
export interface Lens {
  readonly project: Project;
  units(layer: string): Promise<Unit[]>;
  see(picture: string, layer: string, target: number | null): Promise<Sight | null>;
  card(layer: string, unit: number): Promise<Card | null>;
  turn(picture: string, edits: Edit[], draws: number): Promise<Turned | null>;
  compare(pictures: [string, string], layer: string): Promise<Comparison | null>;
  /** Null where nobody is there to ask. */
  at(picture: string, layer: string, x: number, y: number): Promise<Place | null>;
}

export async function openServer(): Promise<Server> {
  return new Server((await (await ask("api/project")).json()) as Project);
}

/** The server, and this visit to it. */
export class Server implements Lens {
  visit: string | null = null;
  private readonly listed = new Map<string, Promise<Unit[]>>();

  constructor(readonly project: Project) {}

  units(layer: string): Promise<Unit[]> {
    const place = this.project.layers.findIndex((one) => one.layer === layer);
    const found =
      this.listed.get(layer) ??
      ask(`api/layers/${place}`)
        .then((answer) => answer.json() as Promise<{ units: Unit[] }>)
        .then((answer) => answer.units);
    this.listed.set(layer, found);
    return found;
  }

  see(picture: string, layer: string, target: number | null): Promise<Sight> {
    return this.post("see", { picture, layer, class: target });
  }

  card(layer: string, unit: number): Promise<Card> {
    return this.post("unit", { layer, unit });
  }

  turn(picture: string, edits: Edit[], draws: number): Promise<Turned> {
    return this.post("turn", { picture, edits, draws });
  }

  compare(pictures: [string, string], layer: string): Promise<Comparison> {
    return this.post("compare", { pictures, layer });
  }

  at(picture: string, layer: string, x: number, y: number): Promise<Place> {
    return this.post("at", { picture, layer, x, y });
  }

  strip(block: number): Promise<string> {
    return askStrip(`api/samples/${block}.jpg`);
  }

  sample(index: number): Promise<Picture> {
    return this.post("samples", { index });
  }

  /** A picture's bytes, in place of another where `id` is one. */
  async upload(blob: Blob, name: string, fitted: boolean, id: string | null = null): Promise<Picture> {
    const known = /^image\/(png|jpeg|webp|gif|bmp)$/.test(blob.type);
    const headers: Record<string, string> = {
      "content-type": known ? blob.type : "application/octet-stream",
      "x-name": encodeURIComponent(name),
      ...(fitted ? { "x-fitted": "1" } : {}),
    };
    const path = id === null ? "pictures" : `pictures/${id}`;
    return (await this.visited(path, { method: id === null ? "POST" : "PUT", headers, body: blob })).json() as Promise<Picture>;
  }

  async picture(id: string): Promise<Picture> {
    return (await this.visited(`pictures/${id}`)).json() as Promise<Picture>;
  }

  /** What the network reads of a picture. */
  async pixels(id: string): Promise<Blob> {
    return (await ask(`api/pictures/${id}.png`)).blob();
  }

  async attack(picture: string, target: number, method: string): Promise<string> {
    return (await this.post<{ attack: string }>("attacks", { picture, class: target, method })).attack;
  }

  async attacked(attack: string): Promise<Attack> {
    return (await this.visited(`attacks/${attack}`)).json() as Promise<Attack>;
  }

  async cancel(attack: string): Promise<void> {
    await this.visited(`attacks/${attack}`, { method: "DELETE" });
  }

  /** The session as JSON or as a page, `kind` being "session" or "session.html". */
  async save(kind: string, session: unknown): Promise<Blob> {
    return (await this.visited(kind, post(session))).blob();
  }

  /** Begins a visit, where there is none or the server has forgotten it. */
  async begin(): Promise<void> {
    this.visit = ((await (await ask("api/visit", post({}))).json()) as { visit: string }).visit;
  }

  private async post<Answer>(path: string, value: unknown): Promise<Answer> {
    return (await this.visited(path, post(value))).json() as Promise<Answer>;
  }

  private async visited(path: string, request: RequestInit = {}): Promise<Response> {
    if (!this.visit) await this.begin();
    return ask(`api/${path}`, { ...request, headers: { ...request.headers, "x-visit": this.visit ?? "" } });
  }
}

/** Whether the server no longer knows the visit, or a picture of it. */
export function isForgotten(error: unknown): error is Refused {
  return error instanceof Refused && (error.status === 403 || error.status === 404);
}

/** A saved session: it answers what was worked out when it was saved. */
export class Archive implements Lens {
  readonly project: Project;

  constructor(readonly saved: Saved) {
    this.project = saved.project;
  }

  async units(layer: string): Promise<Unit[]> {
    return this.saved.layers.find((one) => one.layer === layer)?.units ?? [];
  }

  async see(picture: string, layer: string): Promise<Sight | null> {
    return this.picture(picture)?.sees[layer] ?? null;
  }

  async card(layer: string, unit: number): Promise<Card | null> {
    return this.saved.cards.find((one) => one.layer === layer && one.unit === unit) ?? null;
  }

  async turn(picture: string): Promise<Turned | null> {
    return this.picture(picture)?.turned ?? null;
  }

  async compare(_: [string, string], layer: string): Promise<Comparison | null> {
    return this.saved.compared?.[layer] ?? null;
  }

  async at(): Promise<null> {
    return null;
  }

  private picture(id: string): Saved["pictures"][number] | undefined {
    return this.saved.pictures.find((one) => one.picture.picture === id);
  }
}

/** The session that stands in this page, if it is a saved one. */
export function readArchive(): Archive | null {
  const text = document.querySelector("#session")?.textContent;
  return text ? new Archive(JSON.parse(text) as Saved) : null;
}
