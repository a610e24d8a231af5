// What hands do on the page, and which step or tool it means.

import { find, make } from "../shared/elements";
import { listenToKeys } from "../shared/keys";
import type { Page } from "./page";
import type { Naming, Switch, Tools } from "./session";
import { readReach, withReach } from "./switched";

export interface Choosing {
  choose(key: number): void;
  sample(index: number): void;
}

export function listen(page: Page, choosing: Choosing): void {
  listLayers(page);
  listenToPictures(choosing);
  listenToUnits(page);
  listenToSwitches(page);
  listenToTools(page);
  listenToKeyboard(page);
}

const target = <Name extends string>(event: Event, name: Name): HTMLElement | null =>
  (event.target as HTMLElement).closest<HTMLElement>(`[data-${name}]`);

function listenToPictures(choosing: Choosing): void {
  find("own").addEventListener("click", (event) => {
    const button = target(event, "slide");
    if (button) choosing.choose(Number(button.dataset["slide"]));
  });
  find("strip").addEventListener("click", (event) => {
    const button = target(event, "image");
    if (button) choosing.sample(Number(button.dataset["image"]));
  });
}

function listLayers(page: Page): void {
  const tabs = find("layers");
  tabs.append(
    ...page.lens.project.layers.map((one) =>
      make(
        "button",
        { type: "button", role: "tab", "data-layer": one.layer, title: `${one.units} ${one.kind === "heads" ? "units of heads" : one.kind}, ${one.cells.join(" × ")} cells` },
        one.layer,
      ),
    ),
  );
  const reasons = Object.values(page.lens.project.left_out);
  find("left-out").textContent = reasons.map((why) => `Not here: ${why}.`).join(" ");
  find("left-out").hidden = !reasons.length;
  const go = (layer: string | undefined): void => {
    if (layer === undefined || layer === page.tools.layer) return;
    page.change({ layer });
    page.showLikely();
    page.refresh();
  };
  tabs.addEventListener("click", (event) => go(target(event, "layer")?.dataset["layer"]));
  tabs.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    stepLayer(page, by);
    document.querySelector<HTMLElement>('[data-layer][aria-selected="true"]')?.focus();
  });
}

function stepLayer(page: Page, by: number): void {
  const tabs = [...document.querySelectorAll<HTMLElement>("[data-layer]")];
  const at = tabs.findIndex((one) => one.dataset["layer"] === page.tools.layer);
  tabs[(at + by + tabs.length) % tabs.length]?.click();
}

/** Cards, rows and chips of units: pointed at, they light up; clicked, they open. */
function listenToUnits(page: Page): void {
  const light = (event: Event): void => {
    const item = target(event, "unit");
    page.light(item ? [Number(item.dataset["unit"])] : []);
  };
  for (const name of ["cards", "sum", "moved", "here"]) {
    const list = find(name);
    for (const kind of ["pointerover", "focusin"]) list.addEventListener(kind, light);
    for (const kind of ["pointerleave", "focusout"]) list.addEventListener(kind, () => page.light([]));
    list.addEventListener("click", (event) => {
      const card = target(event, "card");
      if (card) page.open({ layer: page.tools.layer, unit: Number(card.dataset["card"]) });
    });
  }
  find("close").addEventListener("click", () => page.close());
  for (const place of ["cards", "detail"]) {
    find(place).addEventListener("click", (event) => {
      const button = target(event, "off") ?? target(event, "up");
      const unit = button?.dataset["off"] ?? button?.dataset["up"];
      if (unit === undefined) return;
      const layer = place === "detail" ? (page.tools.card?.layer ?? page.tools.layer) : page.tools.layer;
      page.flip({ layer, units: [Number(unit)], concept: null }, button?.dataset["up"] !== undefined);
    });
  }
  find("more-cards").addEventListener("click", () => page.more("cards"));
  find("more-moved").addEventListener("click", () => page.more("moved"));
  find("more-classes").addEventListener("click", () => page.more("classes"));
  find("classes").addEventListener("click", (event) => {
    const button = target(event, "class");
    if (button && page.live) page.push({ class: Number(button.dataset["class"]) });
  });
}

function listenToSwitches(page: Page): void {
  let sliding = false;
  const list = find("switches");
  const change = (place: number, made: (one: Switch) => Switch, over = false): void =>
    page.push({ switches: page.step.switches.map((one, at) => (at === place ? made(one) : one)) }, over);
  list.addEventListener("click", (event) => {
    const knob = target(event, "knob")?.dataset["knob"];
    const place = Number(target(event, "switch")?.dataset["switch"]);
    if (knob === "gone") page.push({ switches: page.step.switches.filter((_, at) => at !== place) });
    if (knob === "off") change(place, (one) => withReach(one, false, readReach(one)));
    if (knob === "up") change(place, (one) => withReach(one, true, readReach(one)));
  });
  list.addEventListener("input", (event) => {
    const slider = event.target as HTMLInputElement;
    const place = Number(target(event, "switch")?.dataset["switch"]);
    // A slide is one step, however many stops it makes.
    change(place, (one) => withReach(one, one.level > 0, Number(slider.value)), sliding);
    sliding = true;
  });
  list.addEventListener("change", () => (sliding = false));
  find("reset").addEventListener("click", () => page.push({ switches: [] }));
  find("concepts").addEventListener("click", (event) => {
    const button = target(event, "concept");
    const layer = page.tools.everywhere ? null : page.tools.layer;
    if (button) page.flip({ layer, units: null, concept: Number(button.dataset["concept"]) }, false);
  });
  find("reach").addEventListener("change", (event) => {
    page.change({ everywhere: (event.target as HTMLSelectElement).value === "all" });
    page.showLikely();
  });
  find("concept-search").addEventListener("input", () => page.showLikely());
}

function listenToTools(page: Page): void {
  const brush = (on: boolean): void => page.change({ brush: on });
  for (const button of document.querySelectorAll<HTMLElement>("[data-brush]")) {
    button.addEventListener("click", () => brush(button.dataset["brush"] === "yes"));
  }
  find("where").addEventListener("keydown", (event) => {
    if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
    brush(!page.tools.brush);
    document.querySelector<HTMLElement>('[data-brush][aria-checked="true"]')?.focus();
  });
  find("clear").addEventListener("click", () => page.push({ region: null }));
  find("undo").addEventListener("click", () => page.move(-1));
  find("redo").addEventListener("click", () => page.move(1));
  const value = (event: Event): string => (event.target as HTMLInputElement).value;
  find("size").addEventListener("input", (event) => page.change({ size: Number(value(event)) }));
  find("search").addEventListener("input", () => page.sift());
  find("order").addEventListener("change", (event) => {
    page.change({ order: value(event) as Tools["order"] });
    page.sift();
  });
  find("naming").addEventListener("change", (event) => {
    page.change({ naming: value(event) as Naming });
    page.rename();
  });
}

function listenToKeyboard(page: Page): void {
  const resize = (by: number): void => page.change({ size: Math.min(60, Math.max(2, page.tools.size + by)) });
  const keys = find<HTMLDetailsElement>("keys");
  document.addEventListener("click", (event) => {
    if (!keys.contains(event.target as Node)) keys.open = false;
  });
  const press = (name: "off" | "up"): void => {
    const item = document.activeElement?.closest("[data-cards] > li, [data-detail]") ?? document.querySelector("[data-detail]:not([hidden])");
    item?.querySelector<HTMLElement>(`[data-${name}]`)?.click();
  };
  const live = { x: () => press("off"), u: () => press("up"), r: () => find("reset").click(), b: () => page.change({ brush: !page.tools.brush }) };
  listenToKeys(page.stage, {
    undo: () => page.live && page.move(-1),
    redo: () => page.live && page.move(1),
    pressed: {
      ...(page.live ? live : {}),
      "[": () => resize(-4),
      "]": () => resize(4),
      ",": () => stepLayer(page, -1),
      ".": () => stepLayer(page, 1),
      "/": () => find<HTMLInputElement>("search").focus(),
      Escape: () => (keys.open ? (keys.open = false) : page.close()),
    },
    held: {},
  });
}
