// The lists beside the picture: samples, palette, units, changes.

import type { Change, Paint, PaintLayer } from "./types";

type Attributes = Record<string, string | number | boolean>;

/** An element with attributes and children; text is text. */
export function make(tag: string, attributes: Attributes = {}, ...children: (Node | string)[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** One tile of a strip of equal tiles, as a background. */
export function showTile(element: HTMLElement, strip: string, place: number, count: number): void {
  element.style.backgroundImage = `url("${strip}")`;
  element.style.backgroundSize = `${count * 100}% 100%`;
  element.style.backgroundPosition = `${count > 1 ? (place / (count - 1)) * 100 : 0}% 0`;
}

export function makeSample(image: number, strip: string, place: number, count: number, ratio: number): HTMLElement {
  const tile = make("span", { class: "tile" });
  tile.style.aspectRatio = String(ratio);
  showTile(tile, strip, place, count);
  return make("li", {}, make("button", { type: "button", "data-image": image, "aria-label": `Sample ${image}` }, tile));
}

export function makePaint(paint: Paint, number: number, icons: string, count: number): HTMLElement {
  const icon = make("span", { class: "icon" });
  showTile(icon, icons, number, count);
  const units = unitsOf(paint, paint.layer).length;
  const name = make("span", { class: "name" }, paint.label);
  name.style.color = `color-mix(in srgb, ${paint.color} 72%, var(--text))`;
  return make(
    "li",
    { "data-item": number },
    make(
      "button",
      { type: "button", role: "radio", "data-paint": number, title: tellPaint(paint, units) },
      icon,
      name,
      make("span", { class: "quiet count" }, `${units} ${units === 1 ? "unit" : "units"}`, showReach(paint)),
    ),
  );
}

/** A bar as long as the concept is easy to draw. */
function showReach(paint: Paint): HTMLElement {
  const bar = make("span", { class: "reach", "aria-hidden": "true" });
  const filled = make("span");
  filled.style.width = `${Math.max(0, Math.min(1, paint.reach)) * 100}%`;
  filled.style.background = paint.color;
  bar.append(filled);
  return bar;
}

function tellPaint(paint: Paint, units: number): string {
  const share = Math.max(0, Math.round(100 * paint.reach));
  return `${paint.category} ${paint.label}: ${units} units of ${paint.layer}; where it is common, ${share} % of a stroke becomes ${paint.label}`;
}

export function unitsOf(paint: Paint, layer: string): PaintLayer["units"] {
  return paint.layers.find((one) => one.name === layer)?.units ?? [];
}

export function makeUnit(paint: Paint, layer: PaintLayer, place: number, strip: string, on: boolean): HTMLElement {
  const unit = layer.units[place];
  if (!unit) throw new Error("no such unit");
  const icon = make("span", { class: "icon" });
  showTile(icon, strip, place, layer.units.length);
  const told = `unit ${unit.unit}, IoU ${unit.iou.toFixed(2)} with ${paint.label}`;
  const own = unit.own ? `; it detects ${unit.own}` : "";
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", "data-unit": unit.unit, "aria-pressed": String(on), title: `${told}${own}` },
      icon,
      make("span", {}, String(unit.unit)),
      make("span", { class: "quiet" }, unit.iou.toFixed(2)),
    ),
  );
}

export function makeChange(change: Change): HTMLElement {
  const swatch = make("span", { class: "swatch" });
  swatch.style.background = change.color;
  const sign = change.after - change.before;
  const net = sign > 0 ? `+${sign}` : sign < 0 ? `−${-sign}` : "0";
  return make(
    "tr",
    { "data-concept": `${change.category}/${change.name}`, tabindex: 0 },
    make("th", { scope: "row" }, swatch, change.label),
    make("td", { "data-net": sign, class: sign < 0 ? "less" : "more" }, net),
    make("td", { "data-gained": change.gained }, `${change.gained} new`),
    make("td", { "data-lost": change.lost }, `${change.lost} gone`),
  );
}

/** Arrow keys walk through the buttons of a list; only one of them is in the order of the tab key. */
export function walk(list: HTMLElement): void {
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const buttons = [...list.querySelectorAll<HTMLElement>("li:not([hidden]) button")];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    if (!by || at < 0) return;
    event.preventDefault();
    const next = buttons[(at + by + buttons.length) % buttons.length];
    next?.focus();
    if (next?.getAttribute("role") === "radio") next.click();
  });
}
