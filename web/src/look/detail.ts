// One unit: its top images, its best concept in every category, the classes it matters for.

import { find, make } from "../shared/elements";
import { makeSwitches } from "./cards";
import { nameUnit, plain, showBar, showName, showSwatch, signed, tellQ, tellTrust } from "./names";
import { makeThumb } from "./pictures";
import type { Naming } from "./session";
import type { Card, Unit } from "./types";

/** Shows a unit; what only a server knows may be missing from a saved page. */
export function showDetail(unit: Unit, card: Card | null, layer: string, naming: Naming, live: boolean): void {
  find("detail").hidden = false;
  find("detail-title").replaceChildren(showName(unit, naming), make("span", { class: "quiet" }, ` ${layer} ${unit.title}`));
  const parts: HTMLElement[] = [make("p", { class: "quiet" }, tellUnit(unit, card, naming))];
  if (live) parts.push(makeSwitches(unit.unit, nameUnit(unit, naming).text));
  if (card) parts.push(...makeParts(card));
  else if (!live) parts.push(make("p", { class: "quiet" }, "Its images and tables were not saved."));
  find("detail-body").replaceChildren(...parts);
}

function tellUnit(unit: Unit, card: Card | null, naming: Naming): string {
  const parts: string[] = [];
  const shown = naming === "label" ? null : unit[naming];
  if (shown) parts.push(tellTrust(unit, naming, 3), unit.label ? `concept ${unit.label}` : "no concept");
  if (unit.iou !== null) {
    const low = card?.iou_low ?? null;
    const range = low === null || card?.iou_high == null ? "" : ` (${low.toFixed(2)} to ${card.iou_high.toFixed(2)})`;
    parts.push(`IoU ${unit.iou.toFixed(3)}${range}`);
  }
  if (unit.q !== null) parts.push(`q ${tellQ(unit.q)}`);
  if (card?.heldout != null) parts.push(`on held-out images ${card.heldout.toFixed(3)}`);
  if (unit.threshold !== null) parts.push(`threshold ${plain(unit.threshold)}`);
  if (unit.high !== null) parts.push(`highest ${plain(unit.high)}`);
  if (!unit.detector) parts.push("below the run's cut-off");
  for (const kind of ["formula", "word"] as const) {
    const trust = tellTrust(unit, kind, 3);
    if (kind !== naming && unit[kind]) parts.push(`${kind} ${unit[kind].text}${trust && ` (${trust})`}`);
  }
  if (card?.runner_up) parts.push(`next best ${card.runner_up.label}, ${card.runner_up.iou.toFixed(3)}`);
  return parts.filter(Boolean).join(" · ");
}

function makeParts(card: Card): HTMLElement[] {
  const parts: HTMLElement[] = [];
  if (card.tops.length) {
    parts.push(make("h3", {}, "Top images"), make("ul", { class: "tops" }, ...card.tops.map((top) => makeTop(card, top))));
  }
  if (card.tops_note) parts.push(make("p", { class: "quiet" }, card.tops_note));
  const best = card.categories.filter((one) => one.label !== null);
  if (best.length) parts.push(make("h3", {}, "Best in each category"), makeCategories(best));
  if (card.classes.length) {
    const images = card.classes_over === 1 ? "that image" : `those ${card.classes_over} images`;
    parts.push(
      make("h3", {}, "Classes it matters for"),
      make("p", { class: "quiet" }, `What their logits lose without it, in ${images}, less the mean of all classes.`),
      makeLosses(card),
    );
  }
  return parts;
}

function makeTop(card: Card, top: Card["tops"][number]): HTMLElement {
  const outline = { runs: top.runs, mask: top.mask, color: card.color, kind: "lit" as const };
  const thumb = makeThumb(top.image, outline, 1);
  thumb.title = `${top.key}: activation ${top.peak.toFixed(2)}`;
  return make("li", { "data-top": top.peak }, thumb, make("span", { class: "hidden" }, thumb.title));
}

function makeCategories(rows: Card["categories"]): HTMLElement {
  const scale = Math.max(0.001, ...rows.map((row) => row.iou ?? 0));
  const lines = rows.map((row) => {
    const track = make("span", { class: "track", "aria-hidden": "true" });
    const part = make("span", {});
    part.style.width = `${(100 * (row.iou ?? 0)) / scale}%`;
    part.style.background = row.color;
    track.append(part);
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, showSwatch(row.color), row.category),
      make("td", {}, row.label ?? "", track),
      make("td", { "data-iou": row.iou ?? "" }, row.iou === null ? "" : row.iou.toFixed(3)),
    );
  });
  const head = make("tr", {}, ...["Category", "Concept", "IoU"].map((name) => make("th", { scope: "col" }, name)));
  return make("table", { class: "best" }, make("thead", { class: "hidden" }, head), make("tbody", {}, ...lines));
}

function makeLosses(card: Card): HTMLElement {
  const shown = card.classes.slice(0, 6);
  const scale = Math.max(1e-9, ...shown.map((one) => Math.abs(one.lost)));
  const rows = shown.map((one) =>
    make(
      "li",
      { class: "rest" },
      make("span", { class: "what" }, one.name),
      showBar(one.lost / scale),
      make("span", { class: "amount", "data-lost": one.lost }, signed(one.lost)),
    ),
  );
  return make("ul", { class: "sum" }, ...rows);
}
