"use strict";
/* Pictures with their active region: the rest dimmed, the region outlined pixel by pixel. */

(() => {
  const { el } = unitscope;
  const SVG = "http://www.w3.org/2000/svg";

  /* Spans of `left` that no span of `right` covers; spans are sorted and do not overlap. */
  function subtract(left, right) {
    const rest = [];
    for (const [start, stop] of left) {
      let from = start;
      for (const [cut, end] of right) {
        if (end <= from || cut >= stop) continue;
        if (cut > from) rest.push([from, cut]);
        from = Math.max(from, end);
      }
      if (from < stop) rest.push([from, stop]);
    }
    return rest;
  }

  function rowsOf(runs) {
    const rows = new Map();
    for (let i = 0; i < runs.length; i += 3) {
      const spans = rows.get(runs[i]) ?? rows.set(runs[i], []).get(runs[i]);
      const last = spans[spans.length - 1];
      if (last && last[1] === runs[i + 1]) last[1] = runs[i + 2];
      else spans.push([runs[i + 1], runs[i + 2]]);
    }
    return rows;
  }

  /* Every side of the region as a step from point to point, the region on the right hand. */
  function sidesOf(rows) {
    const steps = new Map();
    const add = (x1, y1, x2, y2) => {
      const key = `${x1},${y1}`;
      if (!steps.has(key)) steps.set(key, []);
      steps.get(key).push([x2, y2]);
    };
    for (const [row, spans] of rows) {
      for (const [start, stop] of spans) {
        add(start, row + 1, start, row);
        add(stop, row, stop, row + 1);
      }
      for (const [a, b] of subtract(spans, rows.get(row - 1) ?? [])) add(a, row, b, row);
      for (const [a, b] of subtract(spans, rows.get(row + 1) ?? [])) add(b, row + 1, a, row + 1);
    }
    return steps;
  }

  /* The outline of a mask, given as flat runs (row, start, stop), as an SVG path. */
  function outline(runs) {
    const steps = sidesOf(rowsOf(runs));
    let path = "";
    for (const [first, exits] of steps) {
      while (exits.length) {
        let [x, y] = first.split(",").map(Number);
        path += `M${x} ${y}`;
        for (let next = exits.pop(); next; next = steps.get(`${x},${y}`)?.pop()) {
          path += next[1] === y ? `H${next[0]}` : `V${next[1]}`;
          [x, y] = next;
        }
        path += "Z";
      }
    }
    return path;
  }

  function overlay(runs, [height, width]) {
    const edge = outline(runs);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    for (const [name, d] of [["veil", `M-2 -2H${width + 2}V${height + 2}H-2Z${edge}`], ["edge", edge]]) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      path.setAttribute("d", d);
      path.setAttribute("fill-rule", "evenodd");
      path.setAttribute("vector-effect", "non-scaling-stroke");
      svg.append(path);
    }
    return svg;
  }

  /* The center of a mask as fractions of width and height. */
  function center(runs, [height, width]) {
    let [area, x, y] = [0, 0, 0];
    for (let i = 0; i < runs.length; i += 3) {
      const length = runs[i + 2] - runs[i + 1];
      area += length;
      x += length * (runs[i + 1] + runs[i + 2]) / 2;
      y += length * (runs[i] + 0.5);
    }
    return area ? [x / area / width, y / area / height] : [0.5, 0.5];
  }

  /* Lay a picture over its whole tile; what does not fit is cut away far from the center given. */
  function cover(picture, aspect, [x, y]) {
    const wide = Math.max(1, aspect / tileAspect());
    const high = Math.max(1, tileAspect() / aspect);
    const shift = (size, middle) => Math.min(0, Math.max(1 - size, 0.5 - middle * size));
    const sides = { width: wide, height: high, left: shift(wide, x), top: shift(high, y) };
    for (const [name, value] of Object.entries(sides)) picture.style.setProperty(name, `${(100 * value).toFixed(2)}%`);
  }

  const tileAspect = () => Number(getComputedStyle(document.documentElement).getPropertyValue("--aspect"));

  /* The picture of one rank of a unit; its mask is laid over it when it has been loaded. A small tile
     is filled by the part of the picture around the mask, a large one holds all of the picture. */
  function tile(place, unit, rank, runsOfUnit, small = false) {
    const layer = unitscope.layers[place];
    const picture = unitscope.run.pictures[layer.images[unit][rank]];
    if (!picture) return el("span", { class: "tile" });
    const [file, key, width, height] = picture;
    const aspect = width / height;
    const frame = el("span", {
      class: small ? "picture" : aspect >= tileAspect() - 0.01 ? "picture wide" : "picture tall",
      style: small ? null : `aspect-ratio: ${width} / ${height}`,
    }, el("img", { src: `pictures/${file}`, alt: `unit ${unit}, image ${key}, active region`, width, height,
      loading: "lazy", decoding: "async" }));
    if (small) cover(frame, aspect, [0.5, 0.5]);
    runsOfUnit.then((runs) => {
      const mask = runs[rank] ?? [];
      if (small) cover(frame, aspect, center(mask, layer.mask));
      frame.append(overlay(mask, layer.mask));
    });
    return el("span", { class: small ? "tile cover" : "tile" }, frame);
  }

  Object.assign(unitscope, { tile, outline, overlay });
})();
