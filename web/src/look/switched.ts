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

/** Shows what is switched. A row that a hand is on is left as it is. */
export function showSwitches(step: Step, units: Map<string, Map<number, Unit>>, project: Project, naming: Naming, live: boolean): void {
  const list = find("switches");
  const rows = step.switches.map((one, place) => makeRow(one, place, tellSwitch(one, units, project, naming), step, live));
  const held = document.activeElement?.closest<HTMLElement>("[data-switch]");
  const name = (document.activeElement as HTMLElement | null)?.dataset["knob"];
  if (held && name && list.children.length === rows.length && name === "reach") {
    // The slider in hand moves on; its number follows it.
    const place = Number(held.dataset["switch"]);
    const output = held.querySelector("output");
    const one = step.switches[place];
    if (output && one) output.textContent = `${readReach(one)} %`;
  } else {
    list.replaceChildren(...rows);
    if (held && name) {
      list.querySelector<HTMLElement>(`[data-switch="${held.dataset["switch"]}"] [data-knob="${name}"]`)?.focus();
    }
  }
  find("unswitched").hidden = rows.length > 0 || !live;
  find<HTMLButtonElement>("reset").disabled = !rows.length;
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
  const [first] = one.units ?? [];
  const unit = units.get(one.layer ?? "")?.get(first ?? -1);
  return { name: nameUnit(unit, naming).text, of: `${one.layer} ${unit?.title ?? first}`, color: unit?.color ?? null };
}

function unitsOf(concept: Concept, layer: string | null): number {
  return Object.entries(concept.units).reduce((sum, [name, units]) => sum + (!layer || name === layer ? units.length : 0), 0);
}

function makeRow(one: Switch, place: number, { name, of, color }: Told, step: Step, live: boolean): HTMLElement {
  const up = one.level > 0;
  const radio = (text: string, knob: string, on: boolean): HTMLElement =>
    make(
      "button",
      { type: "button", class: "small", "data-knob": knob, "aria-pressed": String(on), disabled: !live, "aria-label": `${name}: ${text.toLowerCase()}` },
      text,
    );
  const reach = readReach(one);
  const slider = make("input", {
    type: "range", min: 0, max: up ? 200 : 100, step: 5, value: reach, "data-knob": "reach", disabled: !live,
    "aria-label": `${name}: how far ${up ? "up" : "off"}, in percent`,
  });
  return make(
    "li",
    { "data-switch": place },
    make("p", { class: "what" }, showSwatch(color), make("b", {}, name), make("span", { class: "quiet" }, ` ${of}`)),
    make("button", { type: "button", class: "plain small gone", "data-knob": "gone", "data-live": true, hidden: !live, "aria-label": `${name}: switch no more` }, "×"),
    make("span", { class: "pair" }, radio("Off", "off", !up), radio("Up", "up", up)),
    slider,
    make("output", { class: "quiet" }, `${reach} %`),
    make(
      "p",
      { class: "quiet place" },
      one.under ? (step.region ? "under the brush" : "under the brush: paint on the picture") : "everywhere",
    ),
  );
}

/** Shows concepts to switch: those that are wanted, or those of the units that add most here. */
export function showConcepts(project: Project, layer: string, wanted: string, likely: number[]): void {
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
        { type: "button", class: "chip", "data-concept": one.concept, title: `Switch ${count(units, "unit")} of ${layer} off` },
        showSwatch(one.color),
        one.label,
        make("span", { class: "quiet" }, ` ${units}`),
      ),
    );
  });
  find("concepts").replaceChildren(...items);
}
