// The units that fire, as cards.

import { find, make } from "../shared/elements";
import { count, kindOf, nameUnit, showBar, showName, signed, tellTrust } from "./names";
import { makeThumb } from "./pictures";
import type { Naming, Tools } from "./session";
import type { Firing, Layer, Picture, Sight, Unit } from "./types";

export const CARDS = 24;

export interface Shelf {
  sight: Sight;
  picture: Picture;
  layer: Layer;
  units: Map<number, Unit>;
  naming: Naming;
  order: Tools["order"];
  wanted: string;
  shown: number;
  /** Whether units can be switched. */
  live: boolean;
}

/** Shows the cards that are wanted, in order. */
export function showCards(shelf: Shelf): void {
  const { sight, units, layer } = shelf;
  const found = sort(shelf).filter((one) => matches(one, shelf));
  const scale = Math.max(1e-9, ...sight.units.map((one) => Math.abs(one.contribution ?? 0)));
  const held = heldCard();
  find("cards").replaceChildren(...found.slice(0, shelf.shown).map((one) => makeCard(one, shelf, scale)));
  if (held) document.querySelector<HTMLElement>(`[data-cards] [data-card="${held}"]`)?.focus({ preventScroll: true });
  find("no-cards").hidden = found.length > 0;
  find("no-cards").textContent = sight.units.length ? "No such unit fires here." : "No unit is above its threshold here.";
  find("more-cards").hidden = found.length <= shelf.shown;
  const left = sight.left_out ? `, ${sight.left_out} not listed` : "";
  find("fired").textContent = `${sight.fired} of ${count(units.size || layer.units, kindOf(layer))}${left}`;
}

function heldCard(): string | undefined {
  const held = document.activeElement as HTMLElement | null;
  return held?.closest("[data-cards]") ? held.dataset["card"] : undefined;
}

function sort({ sight, units, order }: Shelf): Firing[] {
  const value: Record<Tools["order"], (one: Firing) => number> = {
    contribution: (one) => Math.abs(one.contribution ?? 0),
    peak: (one) => one.peak / (units.get(one.unit)?.high ?? Infinity),
    area: (one) => one.area,
    iou: (one) => units.get(one.unit)?.iou ?? 0,
  };
  return [...sight.units].sort((one, other) => value[order](other) - value[order](one) || one.unit - other.unit);
}

function matches(firing: Firing, { units, wanted }: Shelf): boolean {
  if (!wanted) return true;
  const unit = units.get(firing.unit);
  const words = [unit?.title, unit?.label, unit?.formula?.text, unit?.word?.text, unit?.category];
  return words.some((word) => word?.toLowerCase().includes(wanted));
}

function makeCard(firing: Firing, shelf: Shelf, scale: number): HTMLElement {
  const { picture, sight, naming } = shelf;
  const unit = shelf.units.get(firing.unit);
  const title = unit?.title ?? String(firing.unit);
  const outline = { runs: firing.runs, mask: sight.mask, color: unit?.color ?? null, kind: "lit" as const };
  const token = firing.class_token === null ? "" : ` · class token ${firing.class_token.toFixed(2)}`;
  const added = firing.contribution ?? 0;
  const card = make(
    "button",
    {
      type: "button",
      class: "card",
      "data-card": firing.unit,
      "data-peak": firing.peak,
      "data-area": firing.area,
      title: `activation ${firing.peak.toFixed(2)}${token}; above the threshold in ${(100 * firing.area).toFixed(0)} % of the picture`,
    },
    makeThumb(picture.image, outline, picture.shown[1] / picture.shown[0]),
    make("span", { class: "line" }, showName(unit, naming), make("span", { class: "quiet" }, title)),
    make("span", { class: "quiet trust" }, tellTrust(unit, naming)),
    make(
      "span",
      { class: "line adds", title: `adds ${signed(added)} to ${sight.name}` },
      showBar(added / scale),
      make("span", { class: "amount", "data-contribution": added }, signed(added)),
    ),
  );
  const item = make("li", { "data-unit": firing.unit }, card);
  if (shelf.live) item.append(makeSwitches(firing.unit, `${nameUnit(unit, naming).text}, unit ${title}`));
  return item;
}

/** Two buttons that switch a unit. */
export function makeSwitches(unit: number, name: string): HTMLElement {
  return make(
    "span",
    { class: "pair turns" },
    make("button", { type: "button", class: "small", "data-off": unit, "aria-pressed": "false", "aria-label": `${name}: off` }, "Off"),
    make("button", { type: "button", class: "small", "data-up": unit, "aria-pressed": "false", "aria-label": `${name}: up` }, "Up"),
  );
}
