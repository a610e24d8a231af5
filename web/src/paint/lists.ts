// The lists beside the picture: palette, units, changes.

import { make, showTile } from "../shared/elements";
import type { Change, Paint, PaintLayer, Photo } from "./types";

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

/** A picture from outside, among the samples. */
export function makePhoto(photo: Photo, strip: string, ratio: number): HTMLElement {
  const tile = make("span", { class: "tile" });
  tile.style.aspectRatio = String(ratio);
  showTile(tile, strip, 0, 1);
  const told = { "data-photo-key": photo.key, title: photo.picture, "aria-label": photo.picture };
  return make("li", {}, make("button", { type: "button", ...told }, tile));
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
