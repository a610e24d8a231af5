// Files that are opened and saved: pictures from outside, how far they are on their way and how well that went,
// and edit lists.

import { find } from "../shared/elements";
import { encodeBlob, saveBlob } from "../shared/files";
import { Refused } from "../shared/server";
import { say, work } from "../shared/status";
import { isJson, listenToDrops, readEdits, saveEdits } from "./files";
import { decode, type Photos, type Step } from "./photos";
import { askPicture } from "./requests";
import { BLANK, type Session, type Version } from "./session";
import type { Image, Photo } from "./types";

/** What the page does with what was opened. */
export interface Desk {
  choose(image: Image): void;
  commit(version: Version): void;
  listPhotos(): Promise<void>;
  /** The picture that is shown. */
  picture(): Blob | undefined;
}

export function listenToFiles(session: Session, photos: Photos, desk: Desk): void {
  const openPhoto = (file: File): Promise<void> =>
    attempt(file, async () => desk.choose((await bring(file, file.name)).key));

  // An edit list becomes the newest version of its picture, if the server takes it.
  const openEdits = (file: File): Promise<void> =>
    attempt(file, async () => {
      const { picture, ...list } = await readEdits(file);
      let { image } = list;
      if (typeof image === "string" && !photos.find(image) && picture) {
        image = (await bring(decode(picture), file.name)).key;
      }
      await photos.ask(askPicture, { ...list, image });
      desk.choose(image);
      desk.commit({ strokes: list.strokes, off: list.off });
    });

  // A picture from outside, once it can be painted on.
  const bring = async (file: Blob, name: string): Promise<Photo> => {
    showStep(name, { stage: "start", done: 0, total: 1 });
    try {
      const photo = await photos.open(file, name, (step) => showStep(name, step));
      await photos.keep(photo, await askPicture(session.list(BLANK, photo.photo)));
      await desk.listPhotos();
      return photo;
    } finally {
      if (!photos.busy) showStep(name, undefined);
    }
  };

  // The edit list; with the picture, where that is from outside, so that it opens anywhere.
  const save = async (): Promise<void> => {
    const list = session.list(session.now);
    if (typeof list.image === "string") {
      list.picture = await encodeBlob(await photos.ask(askPicture, session.list(BLANK)));
    }
    saveEdits(list);
  };

  for (const [button, name, open] of [
    ["open", "file", openEdits],
    ["open-photo", "photo-file", openPhoto],
  ] as const) {
    const input = find<HTMLInputElement>(name);
    find(button).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) work(open(file));
      input.value = "";
    });
  }
  listenToDrops((files) => {
    const [file] = files;
    say("file", files.length > 1 ? `${files.length.toLocaleString("en")} files at once; open one at a time.` : "");
    if (file && files.length === 1) work(isJson(file) ? openEdits(file) : openPhoto(file));
  });
  find("stop").addEventListener("click", () => photos.cancel());
  find("save-edits").addEventListener("click", () => work(save()));
  find("save-picture").addEventListener("click", () => {
    const picture = desk.picture();
    if (picture) saveBlob(picture, `picture-${session.tools.image}.png`);
  });
}

/** Does something with a file; what is wrong with it is told in a line. */
async function attempt(file: File, open: () => Promise<void>): Promise<void> {
  say("file", "");
  try {
    await open();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error.name === "AbortError") return;
    const told = error instanceof Refused ? `${file.name}: ${error.message}` : error.message;
    say("file", `${told.replace(": the picture", "")}.`); // the server does not know its name
  }
}

const STAGES: Record<Step["stage"], string> = {
  waiting: "waiting for another picture",
  start: "looking at it",
  latent: "the nearest picture that the generator makes",
  layer: "its units fitted to the picture",
  maps: "what is still missing, added",
};

/** How far a picture is; nothing once it is open. */
export function showStep(name: string, step: Step | undefined): void {
  find("opening").hidden = !step;
  if (!step) return;
  find("opening-line").textContent = `${name}: ${STAGES[step.stage]}`;
  const bar = find<HTMLProgressElement>("opening-bar");
  bar.max = Math.max(1, step.total);
  bar.value = step.done;
}

/** How well it went; nothing for a picture of the generator's own. */
export function showPhoto(photo: Photo | undefined): void {
  const note = find("photo");
  note.hidden = !photo;
  if (!photo) return;
  note.classList.toggle("warned", !photo.can);
  const [own, last] = [photo.stages[0], photo.stages.at(-1)];
  if (!own || !last) return;
  const kind = photo.kind ? `, as ${photo.kind.replaceAll("_", " ")}` : "";
  const named = " of the pixels named as before";
  const alone = photo.can ? `The generator alone comes to ${spell(own, named)}; with` : `${photo.verdict}. With`;
  const fitted = `what was fitted to it ${spell(last, photo.can ? "" : named)}`;
  note.textContent = `${photo.picture}${kind}. ${alone} ${fitted}.`;
}

function spell({ psnr, named_alike: share }: Photo["stages"][number], named: string): string {
  const near = psnr === null ? "the picture itself" : `${psnr.toFixed(1)} dB`;
  if (share === null) return near;
  return `${near}, ${share < 1 ? Math.min(99, Math.round(100 * share)) : 100} %${named}`;
}
