"use strict";
/* One unit, large, in a dialog with its own address: #unit/LAYER/NUMBER. */

(() => {
  const { el, find, swatch, concept, ratio, whole, precise, chance, unitName } = unitscope;
  let current = null;

  function readAddress() {
    const found = /^#unit\/([^/]+)\/(\d+)$/.exec(location.hash);
    if (!found) return null;
    let name;
    try {
      name = decodeURIComponent(found[1]);
    } catch {
      return null;
    }
    const place = unitscope.layers.findIndex((layer) => layer.name === name);
    const unit = Number(found[2]);
    return place >= 0 && unit < unitscope.layers[place].iou.length ? { place, unit } : null;
  }

  function follow() {
    const dialog = find("[data-detail]");
    current = readAddress();
    if (!current) {
      if (dialog.open) dialog.close();
      return;
    }
    draw(dialog);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  function go(target) {
    if (!target) return;
    history.replaceState(null, "", unitscope.address(target.place, target.unit));
    const label = document.activeElement?.getAttribute("aria-label");
    follow();
    const again = [...find("[data-detail]").querySelectorAll(".detail-bar button:enabled")];
    (again.find((button) => button.getAttribute("aria-label") === label) ?? find("[data-detail]")).focus();
  }

  function draw(dialog) {
    const { place, unit } = current;
    const layer = unitscope.layers[place];
    dialog.tabIndex = -1;
    dialog.replaceChildren(bar(place, unit, layer, dialog),
      el("div", { class: "detail-body" }, head(layer, unit), pictures(place, unit, layer),
        el("div", {}, facts(layer, unit), categories(layer, unit))));
  }

  function bar(place, unit, layer, dialog) {
    const step = (by, text, label) => {
      const target = unitscope.neighbor(place, unit, by);
      return el("button", { type: "button", "aria-label": label, disabled: !target, onclick: () => go(target) }, text);
    };
    return el("div", { class: "detail-bar" }, el("p", {}, `unit ${unitName(layer, unit)} · ${layer.name}`),
      step(-1, "←", "Previous unit"), step(1, "→", "Next unit"),
      el("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×"));
  }

  function head(layer, unit) {
    const { named, dead, word, category } = unitscope.describe(layer, unit);
    const sure = layer.confidence;
    const score = el("p", { class: "score" }, "IoU ", el("strong", {}, ratio(layer.iou[unit])));
    if (sure && !dead && sure.low[unit] !== null) score.append(`  ${ratio(sure.low[unit])}–${ratio(sure.high[unit])}`);
    return el("header", { class: "detail-head" },
      el("h2", { id: "detail-title" }, el("span", { class: "hidden" }, `Unit ${unitName(layer, unit)}: `),
        named ? swatch(named.category, !layer.detector[unit]) : null,
        el("span", { class: "word", title: word }, word), category ? el("span", { class: "category" }, category) : null),
      dead ? null : score);
  }

  function pictures(place, unit, layer) {
    const images = layer.images[unit];
    if (!images.some((index) => index >= 0)) return el("p", { class: "dead-note" }, "Never active: no pictures");
    const runs = unitscope.loadMasks(place, unit);
    const figures = images.map((index, rank) => (index < 0 ? null : el("figure", {},
      unitscope.tile(place, unit, rank, runs),
      el("figcaption", { title: unitscope.run.pictures[index][1] }, `peak ${aligned(layer.peaks[unit][rank])}`))));
    return el("div", { class: "tiles" }, ...figures);
  }

  const aligned = (value) => (Math.abs(value) < 1e4 ? value.toPrecision(4) : whole(Math.round(value)));

  function facts(layer, unit) {
    const sure = layer.confidence;
    const runner = concept(layer.runner[unit]);
    const rows = [
      ...(layer.probes ? [["Probe", layer.probes[unit]]] : []),
      ["Detector", layer.detector[unit] ? "yes" : `no, IoU cut-off ${unitscope.run.cutoff}`],
      ["Threshold", precise(layer.threshold[unit])],
      ["Active pixels", whole(layer.active[unit])],
      ["Concept pixels", whole(layer.truth[unit])],
      ["Intersection", whole(layer.shared[unit])],
    ];
    if (sure) {
      const range = sure.low[unit] === null ? "–" : `${ratio(sure.low[unit])}–${ratio(sure.high[unit])}`;
      rows.push(["95 % interval", range], ["Held-out IoU", ratio(sure.heldout[unit])],
        ["p-value", chance(sure.p_value[unit])], ["q-value", chance(sure.q_value[unit])]);
    }
    rows.push(["Runner-up", runner ? `${runner.label}, ${ratio(layer.runnerIou[unit])}` : "–"]);
    return el("dl", { class: "facts" },
      ...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  }

  function categories(layer, unit) {
    const rows = unitscope.run.categories.map(({ name }, place) => {
      const best = concept(layer.bestIn[unit][place]);
      return el("tr", {}, el("th", { scope: "row" }, swatch(place), name),
        el("td", {}, best ? best.label : "–"),
        el("td", {}, best ? ratio(layer.bestIouIn[unit][place]) : ""));
    });
    return el("table", {}, el("caption", {}, "Best concept by category"),
      el("thead", { class: "hidden" }, el("tr", {}, ...["Category", "Concept", "IoU"].map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, ...rows));
  }

  function startDetail() {
    const dialog = find("[data-detail]");
    addEventListener("hashchange", follow);
    dialog.addEventListener("close", () => {
      if (readAddress()) history.replaceState(null, "", location.pathname + location.search);
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      go(unitscope.neighbor(current.place, current.unit, step));
    });
    follow();
  }

  Object.assign(unitscope, { startDetail });
})();
