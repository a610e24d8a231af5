"use strict";
/* State, small DOM tools, and the start of the page. Text enters the page only as text nodes. */

const unitscope = (() => {
  document.documentElement.classList.add("script");

  const state = {
    view: "units", query: "", layer: "", categories: new Set(),
    detectors: false, sure: false, concept: null, sort: "iou", reversed: false,
  };
  const masks = new Map();
  const waiting = new Map();

  function el(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "onclick") node.addEventListener("click", value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  const find = (selector) => document.querySelector(selector);

  function swatch(category, hollow = false) {
    const { color } = unitscope.run.categories[category];
    return el("span", { class: hollow ? "swatch hollow" : "swatch", style: `--color: ${color}`, "aria-hidden": "true" });
  }

  /* The concept of an id: label, name as the data set spells it, place of its category. */
  function concept(id) {
    const found = unitscope.run.concepts[id];
    return found ? { id, label: found[0], name: found[1], category: found[2] } : null;
  }

  const ratio = (value) => (value === null ? "–" : value.toFixed(3));
  const whole = (value) => value.toLocaleString("en-US");
  const precise = (value) => (value === null ? "–" : String(Number(value.toPrecision(4))));

  /* A probability as people write it. */
  function chance(value) {
    if (value === null) return "–";
    return value < 0.001 ? value.toExponential(0) : value.toFixed(value < 0.01 ? 4 : 3);
  }

  function plural(count, noun) {
    return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
  }

  /* What a unit is called: HEAD.UNIT for one of a head of attention, else its number. */
  function unitName(layer, unit) {
    const size = layer.heads ? layer.iou.length / layer.heads : 0;
    return size ? `${Math.floor(unit / size)}.${unit % size}` : String(unit);
  }

  /* Masks come in chunks of units, each a script that calls addMasks. */
  function addMasks(layer, chunk, values) {
    masks.set(`${layer}-${chunk}`, values);
  }

  function loadMasks(layer, unit) {
    const chunk = Math.floor(unit / unitscope.run.chunk);
    const key = `${layer}-${chunk}`;
    if (!waiting.has(key)) {
      waiting.set(key, new Promise((resolve) => {
        const script = el("script", { src: `data/masks-${key}.js` });
        script.addEventListener("load", resolve);
        script.addEventListener("error", resolve);
        document.head.append(script);
      }));
    }
    return waiting.get(key).then(() => masks.get(key)?.[unit % unitscope.run.chunk] ?? []);
  }

  /* One tab per layer over its figures and its chart; without scripts all stand below each other. */
  function startTabs() {
    const panels = [...document.querySelectorAll(".layer")];
    const row = find("[data-tabs]");
    if (panels.length < 2) return;
    row.setAttribute("role", "tablist");
    const tabs = panels.map((panel) => {
      panel.setAttribute("role", "tabpanel");
      const tab = el("button", { type: "button", role: "tab", id: `tab-${panel.id}`, "aria-controls": panel.id,
        "data-text": panel.dataset.layer }, panel.dataset.layer);
      tab.addEventListener("click", () => choose(tabs.indexOf(tab)));
      return tab;
    });
    function choose(chosen) {
      tabs.forEach((tab, place) => {
        tab.setAttribute("aria-selected", String(place === chosen));
        tab.tabIndex = place === chosen ? 0 : -1;
        panels[place].hidden = place !== chosen;
      });
    }
    row.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = (tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length;
      choose(next);
      tabs[next].focus();
    });
    row.append(...tabs);
    choose(panels.length - 1);
  }

  function startControls() {
    const form = find(".tools");
    form.addEventListener("input", readForm);
    form.addEventListener("submit", (event) => event.preventDefault());
    find("[data-turn]").addEventListener("click", () => {
      state.reversed = !state.reversed;
      update();
    });
    for (const chip of document.querySelectorAll("[data-category]")) {
      chip.addEventListener("click", () => {
        const place = Number(chip.dataset.category);
        if (!state.categories.delete(place)) state.categories.add(place);
        chip.setAttribute("aria-pressed", String(state.categories.has(place)));
        update();
      });
    }
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => show(button.dataset.view));
    }
    for (const bar of document.querySelectorAll(".bar")) {
      bar.addEventListener("click", () => {
        const place = Number(bar.closest(".layer").id.slice("layer-".length));
        filterConcept(Number(bar.dataset.concept), place);
        find("#units").scrollIntoView();
      });
    }
    find("[data-concept-chip]").addEventListener("click", () => filterConcept(null));
    find("[data-reset]").addEventListener("click", reset);
  }

  function readForm() {
    const form = find(".tools");
    const before = state.sort;
    state.query = form.elements.query.value.trim().toLowerCase();
    state.layer = form.elements.layer?.value ?? "";
    state.sort = form.elements.sort.value;
    state.detectors = form.elements.detectors.checked;
    state.sure = form.elements.sure?.checked ?? false;
    if (state.sort !== before) state.reversed = false;
    update();
  }

  function reset() {
    find(".tools").reset();
    state.categories.clear();
    state.concept = null;
    for (const chip of document.querySelectorAll("[data-category]")) chip.setAttribute("aria-pressed", "false");
    readForm();
    find("[name=query]").focus();
  }

  function filterConcept(id, layer) {
    state.concept = id;
    const select = find(".tools").elements.layer;
    if (select && layer !== undefined) {
      select.value = String(layer);
      state.layer = select.value;
    }
    show("units");
  }

  function show(view) {
    state.view = view;
    for (const button of document.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    }
    for (const node of document.querySelectorAll(".units-only")) node.hidden = view !== "units";
    update();
  }

  function update() {
    const chip = find("[data-concept-chip]");
    const only = state.concept === null ? null : concept(state.concept);
    chip.hidden = only === null || state.view !== "units";
    chip.replaceChildren(only ? el("span", { class: "name" }, only.label) : "");
    chip.setAttribute("aria-label", only ? `Show all concepts, not only ${only.label}` : "");
    if (state.view === "units") unitscope.showUnits();
    else unitscope.showConcepts();
  }

  function start() {
    startTabs();
    startControls();
    unitscope.startGallery();
    readForm();
    unitscope.startDetail();
  }

  return {
    run: null, layers: [], state, el, find, swatch, concept, ratio, whole, precise, chance, plural, unitName,
    addMasks, loadMasks, filterConcept, start,
  };
})();
