"use strict";
/* Every concept with its units, as a table that sorts. */

(() => {
  const { el, find, state, swatch, concept, ratio, whole, plural, unitName } = unitscope;
  const LINKS = 4;
  const columns = [
    ["label", "Concept", 1], ["categoryName", "Category", 1], ["detectors", "Detectors", -1],
    ["units", "Units", -1], ["best", "Best IoU", -1],
  ];
  let sort = "detectors";
  let reversed = false;

  function gather() {
    const rows = new Map();
    for (const id of Object.keys(unitscope.run.concepts).map(Number)) {
      const named = concept(id);
      const categoryName = unitscope.run.categories[named.category].name;
      rows.set(id, { ...named, categoryName, members: [], detectors: 0, units: 0, best: 0 });
    }
    unitscope.layers.forEach((layer, place) => {
      if (state.layer !== "" && place !== Number(state.layer)) return;
      layer.concept.forEach((id, unit) => {
        if (id) rows.get(id).members.push({ place, unit, iou: layer.iou[unit], detector: layer.detector[unit] });
      });
    });
    for (const row of rows.values()) {
      row.members.sort((a, b) => b.iou - a.iou);
      row.units = row.members.length;
      row.detectors = row.members.filter((member) => member.detector).length;
      row.best = row.units ? row.members[0].iou : 0;
    }
    return [...rows.values()];
  }

  function matches(row) {
    if (state.categories.size && !state.categories.has(row.category)) return false;
    return !state.query || [row.label, row.name].some((text) => text.toLowerCase().includes(state.query));
  }

  function compare(a, b) {
    const direction = columns.find(([name]) => name === sort)[2] * (reversed ? -1 : 1);
    const order = typeof a[sort] === "string" ? a[sort].localeCompare(b[sort]) : a[sort] - b[sort];
    return order * direction || b.detectors - a.detectors || b.best - a.best || a.id - b.id;
  }

  function header([name, text, direction]) {
    const ascending = (direction === 1) !== reversed;
    const choose = () => {
      reversed = sort === name ? !reversed : false;
      sort = name;
      showConcepts();
      find(`[data-column="${name}"]`).focus();
    };
    return el("th", {
      scope: "col", class: direction === -1 ? "number" : null,
      "aria-sort": sort === name ? (ascending ? "ascending" : "descending") : null,
    }, el("button", { type: "button", "data-column": name, onclick: choose }, text));
  }

  function line(row) {
    const open = () => {
      unitscope.filterConcept(row.id);
      find("[data-concept-chip]").focus();
    };
    const several = unitscope.layers.length > 1 && state.layer === "";
    const links = row.members.slice(0, LINKS).map(({ place, unit }) => el("a", {
      href: unitscope.address(place, unit), "aria-label": `unit ${unitName(unitscope.layers[place], unit)} of ${unitscope.layers[place].name}`,
    }, [...(several ? [unitscope.layers[place].name] : []), unitName(unitscope.layers[place], unit)].join(" ")));
    const rest = row.units - links.length;
    return el("tr", {},
      el("th", { scope: "row" }, row.units ? el("button", { type: "button", onclick: open, title: row.label }, row.label) : row.label),
      el("td", {}, swatch(row.category), row.categoryName),
      el("td", { class: "number" }, whole(row.detectors)),
      el("td", { class: "number" }, whole(row.units)),
      el("td", { class: "number" }, row.units ? ratio(row.best) : "–"),
      el("td", { class: "links" }, ...links.flatMap((link) => [link, " "]), rest > 0 ? `${whole(rest)} more` : ""));
  }

  function showConcepts() {
    const rows = gather().filter(matches).sort(compare);
    const head = el("thead", {}, el("tr", {}, ...columns.map(header), el("th", { scope: "col" }, "Best units")));
    const table = el("table", {}, head, el("tbody", {}, ...rows.map(line)));
    find("[data-concepts]").replaceChildren(table);
    find("[data-concepts]").hidden = rows.length === 0;
    find("[data-gallery]").hidden = true;
    find("[data-more]").hidden = true;
    find("[data-empty]").hidden = rows.length > 0;
    const used = rows.filter((row) => row.detectors).length;
    find("[data-result]").textContent = `${plural(rows.length, "concept")}, ${whole(used)} with a detector`;
  }

  Object.assign(unitscope, { showConcepts });
})();
