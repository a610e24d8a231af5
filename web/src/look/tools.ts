// The tools in hand: layer, names, brush; and which buttons are down.

import { find, make } from "../shared/elements";
import type { Switch, Tools } from "./session";
import type { Layer } from "./types";

export function showTools(tools: Tools, layer: Layer, painted: boolean): void {
  for (const tab of document.querySelectorAll<HTMLElement>("[data-layer]")) {
    const on = tab.dataset["layer"] === tools.layer;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
  }
  for (const button of document.querySelectorAll<HTMLElement>("[data-brush]")) {
    const on = (button.dataset["brush"] === "yes") === tools.brush;
    button.setAttribute("aria-checked", String(on));
    button.tabIndex = on ? 0 : -1;
  }
  find("stage").classList.toggle("probing", !tools.brush);
  find("brush-size").hidden = !tools.brush;
  find("clear").hidden = !tools.brush || !painted;
  find<HTMLInputElement>("size").value = String(tools.size);
  find<HTMLSelectElement>("order").value = tools.order;
  find<HTMLSelectElement>("reach").value = tools.everywhere ? "all" : "one";
  showNaming(tools, layer);
}

function showNaming({ naming }: Tools, { named }: Layer): void {
  const kinds: [string, string][] = [["label", "concepts"]];
  if (named.formula) kinds.push(["formula", "formulas"]);
  if (named.word) kinds.push(["word", "words"]);
  const select = find<HTMLSelectElement>("naming");
  select.replaceChildren(...kinds.map(([value, name]) => make("option", { value }, name)));
  select.value = kinds.some(([value]) => value === naming) ? naming : "label";
  select.hidden = kinds.length < 2;
}

/** Which buttons of units and concepts are down. */
export function showPressed(switches: Switch[], { layer, card, everywhere }: Tools): void {
  for (const button of document.querySelectorAll<HTMLElement>("[data-off], [data-up]")) {
    const up = button.dataset["up"];
    const unit = Number(up ?? button.dataset["off"]);
    const of = button.closest("[data-detail]") ? (card?.layer ?? layer) : layer;
    const held = switches.find((one) => one.layer === of && one.units?.length === 1 && one.units[0] === unit);
    button.setAttribute("aria-pressed", String(held !== undefined && held.level > 0 === (up !== undefined)));
  }
  for (const button of document.querySelectorAll<HTMLElement>("[data-concept]")) {
    const concept = Number(button.dataset["concept"]);
    button.setAttribute("aria-pressed", String(switches.some((one) => one.concept === concept && one.layer === (everywhere ? null : layer))));
  }
}
