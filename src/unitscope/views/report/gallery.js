"use strict";
/* The gallery: which units are shown, in which order, and their cards, a page at a time. */

(() => {
  const { el, find, state, swatch, concept, ratio, plural, unitName } = unitscope;
  const PAGE = 48;
  const TILES = 6;
  const BEST = 6;
  let shown = [];
  let drawn = 0;

  function address(place, unit) {
    return `#unit/${encodeURIComponent(unitscope.layers[place].name)}/${unit}`;
  }

  function allUnits() {
    return unitscope.layers.flatMap((layer, place) => layer.iou.map((_, unit) => ({ place, unit })));
  }

  function matches({ place, unit }) {
    const layer = unitscope.layers[place];
    const id = layer.concept[unit];
    const named = concept(id);
    if (state.layer !== "" && place !== Number(state.layer)) return false;
    if (state.concept !== null && id !== state.concept) return false;
    if (state.detectors && !layer.detector[unit]) return false;
    if (state.categories.size && !(named && state.categories.has(named.category))) return false;
    if (state.sure && !(layer.confidence && layer.confidence.q_value[unit] < 0.05)) return false;
    return !state.query || matchesQuery(named, unit);
  }

  function matchesQuery(named, unit) {
    const query = state.query.replace(/^unit\s+(?=\d)/, "");
    if (/^\d+$/.test(query) && Number(query) === unit) return true;
    return named !== null && [named.label, named.name].some((text) => text.toLowerCase().includes(state.query));
  }

  const orders = {
    iou: [(layer, unit) => layer.iou[unit], -1],
    unit: [(layer, unit) => unit, 1],
    name: [(layer, unit) => concept(layer.concept[unit])?.label.toLowerCase() ?? null, 1],
    q: [(layer, unit) => layer.confidence?.q_value[unit] ?? null, 1],
    heldout: [(layer, unit) => layer.confidence?.heldout[unit] ?? null, -1],
    threshold: [(layer, unit) => layer.threshold[unit], -1],
  };

  const collator = new Intl.Collator();

  /* Unknown values come last in both directions; equal ones by IoU, then layer and unit. Values are looked up
     once: there may be many thousands of units. */
  function sort(units) {
    const [value, direction] = orders[state.sort];
    const sign = direction * (state.reversed ? -1 : 1);
    const keyed = units.map((found) => {
      const layer = unitscope.layers[found.place];
      return { found, key: value(layer, found.unit), iou: state.sort === "unit" ? 0 : layer.iou[found.unit] };
    });
    keyed.sort((left, right) => {
      const [a, b] = [left.key, right.key];
      if (a !== b) {
        if (a === null) return 1;
        if (b === null) return -1;
        const order = typeof a === "string" ? collator.compare(a, b) : a - b;
        if (order) return order * sign;
      }
      return right.iou - left.iou || left.found.place - right.found.place || left.found.unit - right.found.unit;
    });
    return keyed.map(({ found }) => found);
  }

  function describe(layer, unit) {
    const named = concept(layer.concept[unit]);
    const dead = layer.active[unit] === 0;
    const word = dead ? "never active" : named ? named.label : "no label";
    const category = named ? unitscope.run.categories[named.category].name : "";
    return { named, dead, word, category };
  }

  function card({ place, unit }) {
    const layer = unitscope.layers[place];
    const { named, dead, word, category } = describe(layer, unit);
    const several = unitscope.layers.length > 1;
    const sure = layer.confidence;
    const probe = layer.probes ? `probe ${layer.probes[unit]}` : "";
    const under = [category, probe, several ? layer.name : ""].filter(Boolean).join(" · ");
    const range = sure && !dead && sure.low[unit] !== null ? `${ratio(sure.low[unit])}–${ratio(sure.high[unit])}` : "";
    const weak = !layer.detector[unit];
    const spoken = `unit ${unitName(layer, unit)}, ${word}${category ? `, ${category}` : ""}, IoU ${ratio(layer.iou[unit])}`;
    const head = el("div", { class: "card-head" },
      el("a", { href: address(place, unit), "aria-label": weak ? `${spoken}, not a detector` : spoken },
        el("span", { class: "number", title: "unit" }, unitName(layer, unit)), named ? swatch(named.category, weak) : null, el("span", { class: "name", title: word }, word)),
      el("span", { class: "value", title: "IoU" }, dead ? "" : ratio(layer.iou[unit])),
      el("span", { class: "under", title: under }, under),
      el("span", { class: "range", title: "95 % interval" }, range));
    return el("li", { class: weak ? "card weak" : "card" }, head, strip(place, unit));
  }

  function strip(place, unit) {
    const images = unitscope.layers[place].images[unit];
    const count = images.filter((index) => index >= 0).length;
    if (!count) return el("p", { class: "dead-note" }, "Never active: no pictures");
    const runs = unitscope.loadMasks(place, unit);
    const tiles = Math.min(count, TILES);
    return el("div", { class: "tiles" }, ...Array.from({ length: tiles }, (_, rank) => unitscope.tile(place, unit, rank, runs, true)));
  }

  function drawMore() {
    const next = shown.slice(drawn, drawn + PAGE);
    find("[data-gallery]").append(...next.map(card));
    drawn += next.length;
    find("[data-more]").hidden = drawn >= shown.length || state.view !== "units";
  }

  function showUnits() {
    shown = sort(allUnits().filter(matches));
    drawn = 0;
    find("[data-concepts]").hidden = true;
    find("[data-gallery]").replaceChildren();
    find("[data-gallery]").hidden = shown.length === 0;
    find("[data-empty]").hidden = shown.length > 0;
    const total = unitscope.layers.reduce((sum, layer) => sum + layer.iou.length, 0);
    find("[data-result]").textContent = shown.length === total ? plural(total, "unit")
      : `${unitscope.whole(shown.length)} of ${plural(total, "unit")}`;
    const down = (orders[state.sort][1] === -1) !== state.reversed;
    find("[data-turn] span").textContent = down ? "↓" : "↑";
    find("[data-turn]").setAttribute("aria-label", `Reverse the order, now ${down ? "descending" : "ascending"}`);
    drawMore();
  }

  function startGallery() {
    showBest();
    const more = find("[data-more]");
    more.addEventListener("click", drawMore);
    new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting) && !more.hidden) drawMore();
    }, { rootMargin: "1200px" }).observe(more);
  }

  /* At the head of the page: the best unit of each of the concepts that are detected best. */
  function showBest() {
    const sure = ({ place, unit }) => (unitscope.layers[place].confidence?.q_value[unit] ?? 0) < 0.05;
    const ranked = sort(allUnits().filter(({ place, unit }) => unitscope.layers[place].detector[unit]))
      .sort((a, b) => sure(b) - sure(a));
    const best = new Map();
    for (const found of ranked) {
      const id = unitscope.layers[found.place].concept[found.unit];
      if (!best.has(id)) best.set(id, found);
    }
    if (best.size < 3) return;
    find("[data-best]").hidden = false;
    find("[data-best]").append(...[...best.values()].slice(0, BEST).map(({ place, unit }) => {
      const layer = unitscope.layers[place];
      const { named, word, category } = describe(layer, unit);
      return el("li", {}, unitscope.tile(place, unit, 0, unitscope.loadMasks(place, unit), true),
        el("a", { href: address(place, unit), "aria-label": `${word}, ${category}, unit ${unitName(layer, unit)} of ${layer.name}, IoU ${ratio(layer.iou[unit])}` },
          swatch(named.category), el("span", { class: "name", title: word }, word),
          el("span", { class: "ratio" }, ratio(layer.iou[unit]))));
    }));
  }

  /* The unit that far after or before another in the order of the gallery. */
  function neighbor(place, unit, step) {
    const at = shown.findIndex((other) => other.place === place && other.unit === unit);
    return at < 0 ? null : shown[at + step] ?? null;
  }

  Object.assign(unitscope, { showUnits, startGallery, neighbor, address, describe });
})();
