// Pictures of the visitor's own. The server keeps them for a while; the tab keeps what opens them again, so that
// a reload, and a server that has forgotten, lose nothing.

import { encodeBlob } from "../shared/files";
import { ask, askStrip, Refused } from "../shared/server";
import type { EditList, Photo, Project } from "./types";

/** How far a picture is on its way into the generator. */
export interface Step {
  stage: "waiting" | "start" | "latent" | "layer" | "maps";
  done: number;
  total: number;
}

type Line = Step | { photo: Photo } | { error: string };

interface Kept {
  photo: Photo;
  /** The picture itself, as PNG in base64; pictures that came with the server have none. */
  picture: string | undefined;
}

const MOST = 24;

export class Photos {
  private kept = new Map<string, Kept>();
  private readonly key: string;
  private under: AbortController | undefined;

  constructor(private readonly project: Project) {
    this.key = `unitscope photos ${project.id}`;
    this.restore();
    for (const photo of project.photos) this.kept.set(photo.key, { photo, picture: undefined });
  }

  /** The newest first. */
  get all(): Photo[] {
    return [...this.kept.values()].map((one) => one.photo).reverse();
  }

  find(key: string): Photo | undefined {
    return this.kept.get(key)?.photo;
  }

  /** What the server calls the picture. */
  name(key: string): string {
    return this.find(key)?.photo ?? key;
  }

  /** Asks the server for something of a picture; one from outside that it has forgotten is opened again. */
  async ask<Found>(how: (list: EditList) => Promise<Found>, list: EditList): Promise<Found> {
    const { image } = list;
    if (typeof image !== "string") return how(list);
    const send = (): Promise<Found> => how({ ...list, image: this.name(image) });
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof Refused) || !(await this.reopen(image))) throw error;
      return send();
    }
  }

  /** The picture, small. */
  async strip(key: string): Promise<string> {
    const path = (): string => `api/photos/${this.name(key)}.png`;
    try {
      return await askStrip(path());
    } catch (error) {
      if (!(error instanceof Refused) || !(await this.reopen(key))) throw error;
      return askStrip(path());
    }
  }

  /** Sends a picture to the server and waits until it can be painted on; another one takes its place. */
  async open(file: Blob, name: string, tell: (step: Step) => void): Promise<Photo> {
    if (file.size > this.project.photo_bytes) {
      const [seen, most] = [(file.size / 1e6).toFixed(0), this.project.photo_bytes / 1e6];
      throw new Refused(`the picture has ${seen} MB; wanted ${most} at most: store it smaller`, 413);
    }
    this.cancel();
    const under = (this.under = new AbortController());
    try {
      return { ...(await send(file, under.signal, tell)), picture: name };
    } finally {
      if (this.under === under) this.under = undefined;
    }
  }

  /** Whether a picture is on its way. */
  get busy(): boolean {
    return this.under !== undefined;
  }

  /** Ends what is on its way. */
  cancel(): void {
    this.under?.abort();
  }

  /** Remembers a picture, with what opens it again. */
  async keep(photo: Photo, picture: Blob): Promise<void> {
    this.kept.delete(photo.key);
    this.kept.set(photo.key, { photo, picture: await encodeBlob(picture) });
    this.store();
  }

  /** Opens a picture again that the server has forgotten; whether that could be tried. */
  async reopen(key: string): Promise<boolean> {
    const found = this.kept.get(key);
    if (!found?.picture) return false;
    const photo = await send(decode(found.picture), new AbortController().signal, () => undefined);
    this.kept.set(key, { ...found, photo: { ...photo, key, picture: found.photo.picture } });
    this.store();
    return true;
  }

  private store(): void {
    const own = [...this.kept.values()].filter((one) => one.picture);
    // Where the storage is full the oldest are left out.
    for (let most = MOST; most >= 1; most = Math.floor(most / 2)) {
      try {
        sessionStorage.setItem(this.key, JSON.stringify(own.slice(-most)));
        return;
      } catch {
        continue;
      }
    }
  }

  private restore(): void {
    try {
      const own = JSON.parse(sessionStorage.getItem(this.key) ?? "[]") as Kept[];
      this.kept = new Map(own.map((one) => [one.photo.key, one]));
    } catch {
      sessionStorage.removeItem(this.key);
    }
  }
}

/** A picture of base64. */
export function decode(text: string): Blob {
  let characters: string;
  try {
    characters = atob(text);
  } catch {
    throw new Error("the picture in the file is no base64");
  }
  return new Blob([Uint8Array.from(characters, (one) => one.charCodeAt(0))], { type: "image/png" });
}

async function send(file: Blob, signal: AbortSignal, tell: (step: Step) => void): Promise<Photo> {
  const headers = { "content-type": "application/octet-stream" };
  const answer = await ask("api/photos", { method: "POST", headers, body: file, signal });
  for await (const line of readLines(answer)) {
    if ("error" in line) throw new Refused(line.error, 400);
    if ("photo" in line) return line.photo;
    tell(line);
  }
  throw new Error("The server has broken off; open the picture again");
}

/** The lines of an answer as they come. */
async function* readLines(answer: Response): AsyncGenerator<Line> {
  if (!answer.body) return;
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line) as Line;
  }
}
