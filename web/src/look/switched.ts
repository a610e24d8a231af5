// The switches: what is switched, how far, and where.

import { find, make } from "../shared/elements";
import { count, nameUnit, showSwatch } from "./names";
import type { Naming, Step, Switch } from "./session";
import type { Concept, Edit, Project, Unit } from "./types";

const FEW = 8;

/** The switches as the server takes them; those under a brush that has painted nothing are left out. */
export function listEdits({ switches, region }: Step): Edit[] {
  return switches
    .filter((one) => !one.under || region)
    .map(({ layer, units, concept, level, strength, under }) => {
      const how = { level, strength, place: under ? region : null };
      return concept === null ? { layer: layer ?? "", units: units ?? [], ...how } : { concept, layer, ...how };
    });
}

/** The switches that stand in a saved session, and the one place that they share. */
export function readEdits(edits: Edit[]): Pick<Step, "switches" | "region"> {
  const region = edits.find((one) => one.place)?.place ?? null;
  const switches = edits.map((one): Switch => ({
    layer: one.layer,
    units: "units" in one ? one.units : null,
    concept: "concept" in one ? one.concept : null,
    level: one.level,
    strength: one.strength,
    under: one.place !== null,
  }));
  return { switches, region };
}

/** Whether two switches are of the same units. */
export function isSame(one: Switch, other: Switch): boolean {
  return one.layer === other.layer && one.concept === other.concept && String(one.units) === String(other.units);
}

/** How far a switch goes, in percent: 100 is all the way, for what goes up 200 is twice its highest. */
export function readReach({ level, strength }: Switch): number {
  return Math.round(100 * (level > 1 ? level : strength));
}

export function withReach(one: Switch, up: boolean, reach: number): Switch {
  const share = reach / 100;
  if (!up) return { ...one, level: 0, strength: Math.min(1, share) };
  return { ...one, level: Math.max(1, share), strength: Math.min(1, share) };
}

/** Shows what is switched. Rows that stay are changed, not made anew: a hand may be on them. */
export function showSwitches(step: Step, units: Map<string, Map<number, Unit>>, project: Project, naming: Naming, live: boolean): void {
  const list = find("switches");
  const told = step.switches.map((one) => tellSwitch(one, units, project, naming));
  const names = told.map(({ name, of }) => `${name} ${of}`);
  const same = [...list.children].map((row) => (row as HTMLElement).dataset["name"]).join() === names.join();
  if (!same) {
    list.replaceChildren(...told.map((one, place) => makeRow(place, one, names[place] ?? "", live)));
  }
  step.switches.forEach((one, place) => updateRow(list.children[place] as HTMLElement, one, step.region !== null));
  find("unswitched").hidden = told.length > 0 || !live;
  find<HTMLButtonElement>("reset").disabled = !told.length;
}

interface Told {
  name: string;
  of: string;
  color: string | null;
}

function tellSwitch(one: Switch, units: Map<string, Map<number, Unit>>, project: Project, naming: Naming): Told {
  if (one.concept !== null) {
    const concept = project.concepts.find((other) => other.concept === one.concept);
    const all = concept ? unitsOf(concept, one.layer) : 0;
    const where = one.layer ?? count(project.layers.length, "layer");
    return { name: concept?.label ?? "concept", of: `${count(all, "unit")} of ${where}`, color: concept?.color ?? null };
  }
  const [first, ...others] = one.units ?? [];
  const unit = units.get(one.layer ?? "")?.get(first ?? -1);
  if (others.length) {
    const labels = new Set(one.units?.map((number) => units.get(one.layer ?? "")?.get(number)?.label ?? null));
    const label = labels.size === 1 ? unit?.label : null;
    return { name: label ?? "units", of: `${count(others.length + 1, "unit")} of ${one.layer}`, color: label ? (unit?.color ?? null) : null };
  }
  return { name: nameUnit(unit, naming).text, of: `${one.layer} ${unit?.title ?? first}`, color: unit?.color ?? null };
}

function unitsOf(concept: Concept, layer: string | null): number {
  return Object.entries(concept.units).reduce((sum, [name, units]) => sum + (!layer || name === layer ? units.length : 0), 0);
}

function makeRow(place: number, { name, of, color }: Told, key: string, live: boolean): HTMLElement {
  const knob = (text: string, which: string): HTMLElement =>
    make("button", { type: "button", class: "small", "data-knob": which, disabled: !live, "aria-label": `${name}: ${text.toLowerCase()}` }, text);
  const gone = { type: "button", class: "plain small gone", "data-knob": "gone", hidden: !live, "aria-label": `${name}: switch no more` };
  return make(
    "li",
    { "data-switch": place, "data-name": key },
    make("p", { class: "what" }, showSwatch(color), make("b", {}, name), make("span", { class: "quiet" }, ` ${of}`)),
    make("button", gone, "×"),
    make("span", { class: "pair" }, knob("Off", "off"), knob("Up", "up")),
    make("input", { type: "range", min: 0, step: 5, "data-knob": "reach", disabled: !live, "aria-label": `${name}: how far, in percent` }),
    make("output", { class: "quiet" }),
    make("p", { class: "quiet place" }),
  );
}

function updateRow(row: HTMLElement, one: Switch, painted: boolean): void {
  const up = one.level > 0;
  const reach = String(readReach(one));
  row.querySelector('[data-knob="off"]')?.setAttribute("aria-pressed", String(!up));
  row.querySelector('[data-knob="up"]')?.setAttribute("aria-pressed", String(up));
  const slider = row.querySelector<HTMLInputElement>("input");
  if (slider) {
    slider.max = up ? "200" : "100";
    if (slider.value !== reach) slider.value = reach;
  }
  const [output, place] = [row.querySelector("output"), row.querySelector(".place")];
  if (output) output.textContent = `${reach} %`;
  if (place) place.textContent = !one.under ? "" : painted ? "under the brush" : "under the brush: paint on the picture";
}

/** Shows concepts to switch: those that are wanted, or those of the units that add most here. */
export function showConcepts(project: Project, layer: string | null, wanted: string, likely: number[]): void {
  const rank = new Map(likely.map((concept, place) => [concept, place]));
  const found = project.concepts
    .filter((one) => unitsOf(one, layer) && (!wanted || one.label.toLowerCase().includes(wanted)))
    .sort((one, other) => (rank.get(one.concept) ?? 1e9) - (rank.get(other.concept) ?? 1e9))
    .slice(0, FEW);
  const items = found.map((one) => {
    const units = unitsOf(one, layer);
    return make(
      "li",
      {},
      make(
        "button",
        { type: "button", class: "chip", "data-concept": one.concept, title: `Switch ${count(units, "unit")} of ${layer ?? "all layers"} off` },
        showSwatch(one.color),
        one.label,
        make("span", { class: "quiet" }, ` ${units}`),
      ),
    );
  });
  find("concepts").replaceChildren(...items);
}
