// Pictures with outlines over them.

import { make } from "../shared/elements";
import { trace, traceOutside } from "./outlines";

const SVG = "http://www.w3.org/2000/svg";

export interface Outline {
  runs: number[];
  mask: [number, number];
  color: string | null;
  /** The rest of the picture is dimmed; or the outline is drawn as a brush's. */
  kind: "lit" | "plain" | "brush";
}

/** Draws outlines into an SVG that lies over a picture. */
export function drawOutlines(svg: SVGElement, outlines: Outline[]): void {
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(...outlines.flatMap(draw));
}

function draw({ runs, mask, color, kind }: Outline): SVGElement[] {
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
    add("ink", path).style.stroke = color ?? "#ffffff";
  }
  return [group];
}

/** A small picture with one outline. */
export function makeThumb(image: string | null, outline: Outline, ratio: number): HTMLElement {
  const thumb = make("span", { class: "thumb" });
  thumb.style.aspectRatio = String(ratio);
  if (image) thumb.append(make("img", { src: image, alt: "", loading: "lazy", draggable: "false" }));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  drawOutlines(svg, [outline]);
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
