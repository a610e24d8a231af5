// How numbers and units are written.

import { make } from "../shared/elements";
import type { Naming } from "./session";
import type { Unit } from "./types";

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

/** What a unit is called, and whether the run trusts that name. */
export function nameUnit(unit: Unit | undefined, naming: Naming): { text: string; sure: boolean } {
  const other = naming === "label" ? null : unit?.[naming];
  if (other) return { text: other, sure: true };
  if (unit?.label) return { text: unit.label, sure: unit.detector && (unit.q ?? 0) <= LIKELY };
  return { text: "no name", sure: false };
}

/** The IoU and the q-value of a unit, where they are known. */
export function tellTrust(unit: Unit | undefined): string {
  const parts: string[] = [];
  if (unit?.iou !== null && unit?.iou !== undefined) parts.push(`IoU ${unit.iou.toFixed(2)}`);
  if (unit?.q !== null && unit?.q !== undefined) parts.push(`q ${tellQ(unit.q)}`);
  return parts.join(" · ");
}

export const tellQ = (q: number): string => (q < 0.001 ? "< 0.001" : q.toFixed(3));

/** A name in the color of its category; muted where the run does not trust it. */
export function showName(unit: Unit | undefined, naming: Naming): HTMLElement {
  const { text, sure } = nameUnit(unit, naming);
  const name = make("span", { class: sure ? "name" : "name unsure" }, text);
  if (sure && unit?.color) name.style.color = `color-mix(in srgb, ${unit.color} 70%, var(--text))`;
  if (!sure && unit?.label) name.title = unit.detector ? `q is above ${LIKELY}` : "below the run's cut-off";
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
