// The logit of a class as a sum over named units.

import { find, make } from "../shared/elements";
import { count, kindOf, plain, showBar, showName, signed } from "./names";
import type { Naming } from "./session";
import type { Layer, Sight, Unit } from "./types";

const SHOWN = 10;

/** Shows the sum; `units` are those of the layer, by number. */
export function showSum(sight: Sight, layer: Layer, units: Map<number, Unit>, naming: Naming): void {
  const { sum } = sight;
  find("sum-panel").hidden = false;
  find("sum-class").textContent = sight.name;
  const kind = kindOf(layer);
  const exact = sum.method === "exact";
  const gap = sum.gap !== null && Math.abs(sum.gap) >= 0.005 ? `; it misses by ${plain(Math.abs(sum.gap))}` : "";
  find("sum-note").textContent =
    `Logit ${plain(sight.logit)}, as a sum over the ${kind}s of ${sight.layer}: ` +
    (exact ? "exact." : `an approximation (${sum.method}${gap}).`);
  const shown = sum.shown.slice(0, SHOWN);
  const hidden = sum.shown.slice(SHOWN);
  const others = sum.others + hidden.reduce((total, one) => total + one.contribution, 0);
  const scale = Math.max(1e-9, ...shown.map((one) => Math.abs(one.contribution)));
  const rows = shown.map((one) => {
    const unit = units.get(one.unit);
    const button = make(
      "button",
      { type: "button", "data-card": one.unit },
      make("span", { class: "what" }, showName(unit, naming), make("span", { class: "quiet" }, ` ${unit?.title ?? one.unit}`)),
      showBar(one.contribution / scale),
      make("span", { class: "amount", "data-contribution": one.contribution }, signed(one.contribution)),
    );
    return make("li", { "data-unit": one.unit }, button);
  });
  const rest: [string, number | null][] = [
    [`${count(sum.other_units + hidden.length, `other ${kind}`)}`, others],
    [`no ${kind} at all`, sum.rest],
  ];
  for (const [name, value] of rest) {
    if (value === null) continue;
    rows.push(
      make(
        "li",
        { class: "rest" },
        make("span", { class: "what quiet" }, name),
        make("span", {}),
        make("span", { class: "amount" }, signed(value)),
      ),
    );
  }
  find("sum").replaceChildren(...rows);
  showTokens(sight);
}

function showTokens(sight: Sight): void {
  const line = find("tokens");
  line.hidden = !sight.tokens;
  if (!sight.tokens) return;
  const { reads, lost } = sight.tokens;
  const parts = Object.entries(lost).map(([kind, value]) => {
    const name = kind === "class" ? "the class token" : kind;
    return `${plain(value)} without its units in ${name}`;
  });
  line.textContent = `The logit reads the ${reads.join(" and the ")} of this layer; it loses ${parts.join(", ")}.`;
}
