// Pictures with outlines over them.

import type { Mask } from "../shared/brush";
import { make } from "../shared/elements";
import { trace, traceOutside } from "./outlines";
import type { Picture, Sight, Unit } from "./types";

const SVG = "http://www.w3.org/2000/svg";

export interface Outline {
  runs: number[];
  mask: [number, number];
  color: string | null;
  /** The rest of the picture is dimmed; or the outline is drawn as a brush's. */
  kind: "lit" | "plain" | "brush";
}

/** Where units fire in a picture; of those that do not there is nothing. */
export function outlineUnits(sight: Sight | null, lit: number[], units: Map<number, Unit>, kind: Outline["kind"]): Outline[] {
  if (!sight) return [];
  return sight.units
    .filter((one) => lit.includes(one.unit))
    .map((one) => ({ runs: one.runs, mask: sight.mask, color: units.get(one.unit)?.color ?? null, kind }));
}

export function outlineBrush({ runs, rows, columns }: Mask): Outline {
  return { runs, mask: [rows, columns], color: null, kind: "brush" };
}

/** Draws outlines over the picture whose SVG the page calls by `name`. */
export function drawOutlines(name: string, outlines: Outline[]): void {
  const svg = document.querySelector<SVGElement>(`[data-${name}]`);
  if (svg) draw(svg, outlines);
}

function draw(svg: SVGElement, outlines: Outline[]): void {
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(...outlines.map(makeOutline));
}

function makeOutline({ runs, mask, color, kind }: Outline): SVGElement {
  const path = trace(runs, mask);
  const group = document.createElementNS(SVG, "g");
  group.setAttribute("transform", `scale(${1 / mask[1]} ${1 / mask[0]})`);
  const add = (name: string, way: string): SVGElement => {
    const element = document.createElementNS(SVG, "path");
    element.setAttribute("class", name);
    element.setAttribute("d", way);
    group.append(element);
    return element;
  };
  if (kind === "lit") add("dim", traceOutside(path, mask));
  if (kind === "brush") {
    add("brush", path);
  } else {
    add("halo", path);
    add("ink", path).style.stroke = color ? `color-mix(in srgb, ${color} 62%, white)` : "white";
  }
  return group;
}

/** A small picture with one outline. */
export function makeThumb(image: string | null, outline: Outline, ratio: number): HTMLElement {
  const thumb = make("span", { class: "thumb" });
  thumb.style.aspectRatio = String(ratio);
  if (image) thumb.append(make("img", { src: image, alt: "", loading: "lazy", draggable: "false" }));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  draw(svg, [outline]);
  thumb.append(svg);
  return thumb;
}

/** The picture, once it can be drawn. */
export async function loadImage(address: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    throw new Error("the picture could not be shown");
  }
  return image;
}

/** The line under a picture. */
export function tellPicture({ name, note, exact }: Picture, letter: string): string {
  const parts = [name, note, exact ? null : "attacked; shown in bytes, which are not quite what the network reads"];
  return `${letter && `${letter}: `}${parts.filter(Boolean).join(" · ")}`;
}
