// Two pictures, unit by unit.

import { find, make } from "../shared/elements";
import { count, plain, showName, signed } from "./names";
import type { Naming } from "./session";
import type { Comparison, Picture, Unit } from "./types";

/** Shows the units whose activation differs most between two pictures. */
export function showComparison(
  found: Comparison,
  pictures: [Picture, Picture],
  units: Map<number, Unit>,
  naming: Naming,
  shown: number,
): void {
  const [first, second] = pictures.map((picture) => picture.classes[0]?.name ?? "");
  const fires = [`${found.both} fire in both`, `${found.only[0]} in A alone`, `${found.only[1]} in B alone`];
  find("comparison-note").textContent = `A is ${first}, B is ${second} to the network. Of the units, ${fires.join(", ")}.`;
  find("moved").replaceChildren(...found.rows.slice(0, shown).map((row) => makeRow(row, units.get(row.unit), naming)));
  const rest = found.rows.length + found.left_out - shown;
  find("more-moved").hidden = found.rows.length <= shown;
  find("more-moved").textContent = `More units (${count(Math.max(0, rest), "other")})`;
}

function makeRow(row: Comparison["rows"][number], unit: Unit | undefined, naming: Naming): HTMLElement {
  const high = Math.max(unit?.high ?? 0, ...row.peak.map(Math.abs), 1e-9);
  const tracks = row.peak.map((peak, place) => {
    const track = make("span", { class: "track", "aria-hidden": "true" });
    const part = make("span", { class: place ? "two" : "one" });
    part.style.width = `${(100 * Math.max(0, peak)) / high}%`;
    track.append(part);
    return track;
  });
  const peak = (place: 0 | 1): HTMLElement =>
    make("td", { class: row.fires[place] ? "fires" : "", title: row.fires[place] ? "above its threshold" : "below its threshold" }, plain(row.peak[place]));
  return make(
    "tr",
    { "data-unit": row.unit },
    make(
      "th",
      { scope: "row" },
      make("button", { type: "button", "data-card": row.unit }, showName(unit, naming), make("span", { class: "quiet" }, ` ${unit?.title ?? row.unit}`)),
      ...tracks,
    ),
    peak(0),
    peak(1),
    make("td", { "data-change": row.change }, signed(row.change)),
  );
}
