// What the page shows of a picture from outside: how far it is on its way, and how well that went.

import { find } from "../shared/elements";
import type { Step } from "./photos";
import type { Photo } from "./types";

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
  const told = [
    `${photo.picture} in the generator${kind}: by itself it comes to ${spell(own.psnr, own.named_alike)}`,
    `with fitted units and maps to ${spell(last.psnr, last.named_alike)}`,
  ];
  note.textContent = `${told.join(", ")}. ${photo.can ? "" : `${photo.verdict}.`}`;
}

function spell(psnr: number | null, named: number | null): string {
  const near = psnr === null ? "the picture itself" : `${psnr.toFixed(1)} dB`;
  return named === null ? near : `${near} (${Math.floor(100 * named)} % of the pixels named as before)`;
}
