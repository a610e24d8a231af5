// Elements of a page, made and found.

/** The element that the page marks with `data-name`. */
export function find<Kind extends HTMLElement>(name: string): Kind {
  const found = document.querySelector<Kind>(`[data-${name}]`);
  if (!found) throw new Error(`the page has no ${name}`);
  return found;
}

/** Scrolls to what has just come, where it is out of sight; on a narrow page to its beginning. */
export function showComing(element: HTMLElement): void {
  const narrow = matchMedia("(max-width: 1100px)").matches;
  element.scrollIntoView({ block: narrow ? "start" : "nearest", behavior: "smooth" });
}

type Attributes = Record<string, string | number | boolean>;

/** An element with attributes and children; text is text. */
export function make(tag: string, attributes: Attributes = {}, ...children: (Node | string)[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** One tile of a strip of equal tiles, as a background. */
export function showTile(element: HTMLElement, strip: string, place: number, count: number): void {
  element.style.backgroundImage = `url("${strip}")`;
  element.style.backgroundSize = `${count * 100}% 100%`;
  element.style.backgroundPosition = `${count > 1 ? (place / (count - 1)) * 100 : 0}% 0`;
}

export function makeSample(image: number, strip: string, place: number, count: number, ratio: number): HTMLElement {
  const tile = make("span", { class: "tile" });
  tile.style.aspectRatio = String(ratio);
  showTile(tile, strip, place, count);
  return make("li", {}, make("button", { type: "button", "data-image": image, "aria-label": `Sample ${image}` }, tile));
}

/** Arrow keys walk through the buttons of a list; only one of them is in the order of the tab key. */
export function walk(list: HTMLElement): void {
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const buttons = [...list.querySelectorAll<HTMLElement>("li:not([hidden]) button")];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    if (!by || at < 0) return;
    event.preventDefault();
    const next = buttons[(at + by + buttons.length) % buttons.length];
    next?.focus();
    if (next?.getAttribute("role") === "radio") next.click();
  });
}
