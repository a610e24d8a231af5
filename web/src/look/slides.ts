// The visitor's pictures: told to the server when they come, and again whenever it has forgotten them.

import { Blobs } from "./blobs";
import { isForgotten, type Server } from "./lens";
import type { Session, Slide } from "./session";
import type { Picture } from "./types";

/** Where the pictures come from: the server, or the saved page itself. */
export interface Tray {
  told(key: number | null): Picture | undefined;
  get(key: number): Promise<Picture>;
  ask<Answer>(keys: number[], question: (...ids: string[]) => Promise<Answer>): Promise<Answer>;
  /** A small picture to choose it by. */
  thumb(key: number): Promise<string | null>;
}

export class Slides implements Tray {
  private readonly blobs: Blobs;
  private readonly known = new Map<number, Picture>();
  private readonly coming = new Map<number, Promise<Picture>>();
  private readonly thumbs = new Map<number, string>();

  constructor(private readonly session: Session, private readonly server: Server) {
    this.blobs = new Blobs(session.tab);
    server.visit = session.visit;
  }

  /** What the server last said of a picture. */
  told(key: number | null): Picture | undefined {
    return key === null ? undefined : this.known.get(key);
  }

  /** A sample becomes a picture; it is one only once. */
  sample(index: number): number {
    const held = this.session.slides.find((one) => one.sample === index);
    return held?.key ?? this.session.add({ name: `sample ${index}`, sample: index, fitted: false, id: null });
  }

  /** A file of the visitor's becomes a picture, once the server has taken it. */
  async add(blob: Blob, name: string, fitted = false): Promise<number> {
    const picture = await this.begun(() => this.server.upload(blob, name, fitted));
    return this.adopt(picture, blob, fitted);
  }

  /** A picture that the server has made or taken already, and the bytes to send if it forgets it. */
  async adopt(picture: Picture, blob: Blob, fitted: boolean): Promise<number> {
    const key = this.session.add({ name: picture.name, sample: null, fitted, id: picture.picture });
    this.known.set(key, picture);
    await this.blobs.put(key, blob);
    return key;
  }

  /** Other bytes in place of a picture's. */
  async replace(key: number, blob: Blob): Promise<void> {
    const slide = this.find(key);
    await this.blobs.put(key, blob);
    URL.revokeObjectURL(this.thumbs.get(key) ?? "");
    this.thumbs.delete(key);
    this.note(slide, await this.begun(async () => {
      const held = await this.get(key);
      return this.server.upload(blob, slide.name, false, held.picture);
    }));
  }

  async thumb(key: number): Promise<string | null> {
    const held = this.thumbs.get(key);
    if (held) return held;
    const blob = await this.blobs.get(key);
    if (!blob) return null;
    const address = URL.createObjectURL(blob);
    this.thumbs.set(key, address);
    return address;
  }

  /** Asks something about pictures, by the ids that the server has for them now. */
  async ask<Answer>(keys: number[], question: (...ids: string[]) => Promise<Answer>): Promise<Answer> {
    return this.begun(async () => {
      const pictures = await Promise.all(keys.map((key) => this.get(key)));
      return question(...pictures.map((one) => one.picture));
    });
  }

  /** What the server says of a picture, which is told to it if need be. */
  get(key: number): Promise<Picture> {
    const known = this.known.get(key);
    if (known) return Promise.resolve(known);
    const coming = this.coming.get(key) ?? this.bring(this.find(key)).finally(() => this.coming.delete(key));
    this.coming.set(key, coming);
    return coming;
  }

  private async bring(slide: Slide): Promise<Picture> {
    if (slide.id) {
      try {
        return this.note(slide, await this.server.picture(slide.id));
      } catch (error) {
        if (!isForgotten(error)) throw error;
        slide.id = null;
        if (error.status === 403) await this.server.begin();
      }
    }
    if (slide.sample !== null) return this.note(slide, await this.server.sample(slide.sample));
    const blob = await this.blobs.get(slide.key);
    if (!blob) throw new Error(`${slide.name} is kept nowhere any more; choose it again`);
    return this.note(slide, await this.server.upload(blob, slide.name, slide.fitted));
  }

  /** Does it, and once again where the server had forgotten the visit or a picture. */
  private async begun<Answer>(act: () => Promise<Answer>): Promise<Answer> {
    try {
      const found = await act();
      this.remember();
      return found;
    } catch (error) {
      if (!isForgotten(error)) throw error;
      this.known.clear();
      if (error.status === 403) await this.server.begin();
      const found = await act();
      this.remember();
      return found;
    }
  }

  private note(slide: Slide, picture: Picture): Picture {
    slide.id = picture.picture;
    this.known.set(slide.key, picture);
    this.remember();
    return picture;
  }

  private remember(): void {
    this.session.visit = this.server.visit;
    this.session.keep();
  }

  private find(key: number): Slide {
    const slide = this.session.slide(key);
    if (!slide) throw new Error("there is no such picture");
    return slide;
  }
}

/** The pictures of a saved session, by their places in it. */
export class Shown implements Tray {
  constructor(private readonly pictures: Picture[]) {}

  told(key: number | null): Picture | undefined {
    return key === null ? undefined : this.pictures[key];
  }

  async get(key: number): Promise<Picture> {
    const picture = this.pictures[key];
    if (!picture) throw new Error("there is no such picture");
    return picture;
  }

  async ask<Answer>(keys: number[], question: (...ids: string[]) => Promise<Answer>): Promise<Answer> {
    return question(...keys.map(String));
  }

  async thumb(key: number): Promise<string | null> {
    return this.pictures[key]?.image ?? null;
  }
}
