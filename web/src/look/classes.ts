// The classes with their probabilities, before and after the switches, and with random units switched instead.

import { find, make } from "../shared/elements";
import { count, percent } from "./names";
import type { Picture, Turned } from "./types";

const FEW = 6;

interface Row {
  class: number;
  name: string;
  before: number;
  after: number | null;
  control: number | null;
  low: number | null;
  high: number | null;
}

/** Shows the classes of a picture, and what the switches have made of them. */
export function showClasses(picture: Picture, turned: Turned | null, explained: number, all: boolean, live: boolean): void {
  const rows: Row[] = turned
    ? turned.classes
    : picture.classes.map(({ class: number, name, probability }) => ({
        class: number,
        name,
        before: probability,
        after: null,
        control: null,
        low: null,
        high: null,
      }));
  const shown = all ? rows : rows.slice(0, FEW);
  const held = (document.activeElement as HTMLElement | null)?.dataset["class"];
  find("classes").replaceChildren(...shown.map((row) => makeRow(row, explained, picture.truth)));
  if (held !== undefined) document.querySelector<HTMLElement>(`button[data-class="${held}"]`)?.focus();
  find("classes").parentElement?.classList.toggle("turned", turned !== null);
  find("more-classes").hidden = all || rows.length <= FEW;
  find("before-head").textContent = turned ? "before" : "";
  find("after-head").textContent = turned ? "now" : "";
  find("control-head").textContent = turned?.control_units ? "random" : "";
  find("classes-note").textContent = turned ? tellTurned(turned) : live ? "Click a class to see what speaks for it." : "";
}

function tellTurned(turned: Turned): string {
  const units = `${count(turned.units, "unit")} switched`;
  if (!turned.control_units) return `${units}; no others are there to switch instead.`;
  const sets = turned.draws === 1 ? "a random set" : `${turned.draws} random sets`;
  return `${units}; beside it ${sets} of ${count(turned.control_units, "other unit")} of the same layers.`;
}

function makeRow(row: Row, explained: number, truth: number | null): HTMLElement {
  const track = make("span", { class: "track", "aria-hidden": "true" });
  const bar = (name: string, from: number, to: number): void => {
    const part = make("span", { class: name });
    part.style.left = `${100 * from}%`;
    part.style.width = `${100 * Math.max(0, to - from)}%`;
    track.append(part);
  };
  bar(row.after === null ? "now" : "before", 0, row.before);
  if (row.after !== null) bar("now", 0, row.after);
  if (row.control !== null) {
    bar("range", row.low ?? row.control, row.high ?? row.control);
    bar("random", row.control, row.control);
  }
  const name = make(
    "button",
    { type: "button", "data-class": row.class, "aria-pressed": String(row.class === explained) },
    row.name,
    ...(row.class === truth ? [make("span", { class: "truth", title: "its true class" }, "true")] : []),
  );
  const cell = (kind: string, value: number | null): HTMLElement =>
    value === null
      ? make("td", {})
      : make("td", { [`data-${kind}`]: value, class: kind }, percent(value));
  return make(
    "tr",
    { "data-row": row.class },
    make("th", { scope: "row" }, name, track),
    cell("before", row.before),
    cell("after", row.after),
    cell("control", row.control),
  );
}

/** The change of the likeliest class in words, for who hears the page. */
export function tellChange(turned: Turned): string {
  const [first] = [...turned.classes].sort((one, other) => other.before - one.before);
  const [now] = [...turned.classes].sort((one, other) => other.after - one.after);
  if (!first || !now) return "";
  const control = first.control === null ? "" : `, with random units ${percent(first.control)}`;
  const other = now.class === first.class ? "" : `; now ${now.name}, ${percent(now.after)}`;
  return `${first.name}: ${percent(first.before)} before, ${percent(first.after)} now${control}${other}`;
}
