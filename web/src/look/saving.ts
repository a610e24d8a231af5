// Sessions as files: what is asked for, and what is read back.

import { readJson } from "../shared/files";
import type { Session } from "./session";
import type { Saved } from "./types";

const MOST = 256_000_000;
const MOST_PICTURES = 6;

/** What of a page's state a saved session brings back as it was. */
export interface SavedState {
  layer: string;
  naming: string;
  card: { layer: string; unit: number } | null;
}

/** The pictures that are saved: the ones under the lens first, then the latest others. */
export function choosePictures(session: Session, most: number): number[] {
  const { picture, other } = session.now;
  const held = [picture, other].filter((key) => key !== null);
  const others = session.slides.map((one) => one.key).filter((key) => !held.includes(key));
  return [...held, ...others.reverse().slice(0, Math.max(0, Math.min(most, MOST_PICTURES) - held.length))];
}

/** The session in a file, as far as can be told here. */
export async function readSession(file: File, network: string): Promise<Saved> {
  const saved = (await readJson(file, "a session", MOST)) as Partial<Saved> | null;
  if (saved?.format !== "unitscope look" || !Array.isArray(saved.pictures) || !Array.isArray(saved.edits)) {
    throw new Error(`${file.name} is no session; wanted one that this page has saved`);
  }
  if (saved.project?.network.digest !== network) {
    throw new Error(`${file.name} is of ${saved.project?.network.name ?? "another network"}, not of the network that is open here`);
  }
  return saved as Saved;
}

/** The bytes of a URL that holds them. */
export function readEmbedded(url: string): Blob {
  const [head, data] = url.split(",", 2);
  const bytes = Uint8Array.from(atob(data ?? ""), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head?.slice(5).split(";")[0] ?? "" });
}
