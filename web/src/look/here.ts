// The units that fire at one place of the picture.

import { find, make } from "../shared/elements";
import { count, nameUnit, plain, showName } from "./names";
import type { Naming } from "./session";
import type { Unit } from "./types";

const FEW = 8;

export interface Here {
  unit: number;
  /** Not known until the server has said. */
  activation: number | null;
}

/** Shows them under the picture, and marks their cards; `left` more fire that are not listed. */
export function showHere(here: Here[], left: number, units: Map<number, Unit>, naming: Naming): void {
  const few = here.slice(0, FEW);
  find("here").replaceChildren(...few.map((one) => makeChip(one, units.get(one.unit), naming)));
  const all = here.length + left;
  const first = all > few.length ? `, the first ${few.length}` : "";
  find("here-note").textContent = all ? `${count(all, "unit")} ${all === 1 ? "fires" : "fire"} here${first}:` : "No unit fires here.";
  const fired = new Set(here.map((one) => one.unit));
  for (const item of document.querySelectorAll<HTMLElement>("[data-cards] > li")) {
    item.classList.toggle("fires", fired.has(Number(item.dataset["unit"])));
  }
  const names = few.map((one) => nameUnit(units.get(one.unit), naming).text);
  find("stage").setAttribute("aria-description", names.length ? `Here: ${names.join(", ")}` : "");
}

function makeChip({ unit, activation }: Here, known: Unit | undefined, naming: Naming): HTMLElement {
  const parts = [showName(known, naming), make("span", { class: "quiet" }, ` ${known?.title ?? unit}`)];
  if (activation !== null) parts.push(make("span", { class: "quiet" }, ` ${plain(activation)}`));
  const button = make("button", { type: "button", class: "chip", "data-card": unit, "data-activation": activation ?? "" }, ...parts);
  return make("li", { "data-unit": unit }, button);
}
