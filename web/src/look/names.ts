// How numbers and units are written.

import { make } from "../shared/elements";
import type { Naming } from "./session";
import type { Layer, Unit } from "./types";

export const percent = (share: number): string => {
  const value = 100 * share;
  return `${value > 0 && value < 0.1 ? "< 0.1" : value.toFixed(1)} %`;
};

/** A number with its sign; a minus that is one. */
export const signed = (value: number, digits = 2): string => {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
};

export const plain = (value: number, digits = 2): string => value.toFixed(digits).replace("-", "−");

export const count = (number: number, thing: string): string => `${number} ${thing}${number === 1 ? "" : "s"}`;

/** A name with a larger q-value is as likely to be chance. */
const LIKELY = 0.05;

/** What the units of a layer are called. */
export const kindOf = (layer: Layer): string => (layer.kind === "latents" ? "latent" : "unit");

interface Name {
  text: string;
  /** The color of a concept's category. */
  color: string | null;
  /** Why the name is not trusted; empty for one that is. */
  doubt: string;
}

/** What a unit is called; a unit without a formula or word has the name of its concept. */
export function nameUnit(unit: Unit | undefined, naming: Naming): Name {
  const other = naming === "label" ? null : unit?.[naming];
  if (other) {
    const doubt = other.q === null ? "its q-value is not known" : other.q > LIKELY ? `q is above ${LIKELY}` : "";
    return { text: other.text, color: null, doubt };
  }
  if (!unit?.label) return { text: "no name", color: null, doubt: "no concept fits" };
  const likely = (unit.q ?? 0) <= LIKELY;
  const doubt = unit.detector ? (likely ? "" : `q is above ${LIKELY}`) : "below the run's cut-off";
  return { text: unit.label, color: unit.color, doubt };
}

/** How well the shown name of a unit fits, and its q-value, where they are known. */
export function tellTrust(unit: Unit | undefined, naming: Naming, digits = 2): string {
  const other = naming === "label" ? null : unit?.[naming];
  const { iou = null, q = null } = other ?? unit ?? {};
  const score = other?.score ?? null;
  const parts: string[] = [];
  if (iou !== null) parts.push(`IoU ${iou.toFixed(digits)}`);
  else if (score !== null) parts.push(`score ${plain(score, digits)}`);
  if (q !== null) parts.push(`q ${tellQ(q)}`);
  return parts.join(" · ");
}

export const tellQ = (q: number): string => (q < 0.001 ? "< 0.001" : q.toFixed(3));

/** A name, in the color of its category; muted where it is not trusted. */
export function showName(unit: Unit | undefined, naming: Naming): HTMLElement {
  const { text, color, doubt } = nameUnit(unit, naming);
  const name = make("span", { class: doubt ? "name unsure" : "name" }, text);
  if (!doubt && color) name.style.color = `color-mix(in srgb, ${color} 70%, var(--text))`;
  name.title = doubt ? `${text}: ${doubt}` : text;
  return name;
}

export function showSwatch(color: string | null | undefined): HTMLElement {
  const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = color ?? "var(--line)";
  return swatch;
}

/** A bar from the middle, right for what adds and left for what takes away; `share` from -1 to 1. */
export function showBar(share: number): HTMLElement {
  const bar = make("span", { class: "both", "aria-hidden": "true" });
  const part = make("span", { class: share < 0 ? "less" : "more" });
  const width = 50 * Math.min(1, Math.abs(share));
  part.style.width = `${width}%`;
  part.style.left = share < 0 ? `${50 - width}%` : "50%";
  bar.append(part);
  return bar;
}
