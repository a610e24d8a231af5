// The keyboard.

import type { Stage } from "./stage";

export interface Orders {
  draw(): void;
  erase(): void;
  resize(by: number): void;
  undo(): void;
  redo(): void;
  compare(on: boolean): void;
  overlay(): void;
  find(): void;
}

const STEPS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function listenToKeys(stage: Stage, orders: Orders): void {
  stage.canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step) {
      const pace = event.shiftKey ? 5 : 1;
      stage.step(step[0] * pace, step[1] * pace);
    } else if (event.key === " ") {
      if (!event.repeat) stage.press();
    } else {
      return;
    }
    event.preventDefault();
  });
  stage.canvas.addEventListener("keyup", (event) => {
    if (event.key === " ") stage.release();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLElement && event.target.matches("input[type=search], select");
    if (event.key === "Escape" && typing) (event.target as HTMLElement).blur();
    if (typing) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "z" || event.altKey) return;
      event.preventDefault();
      if (event.shiftKey) orders.redo();
      else orders.undo();
      return;
    }
    const order: (() => void) | undefined = {
      d: orders.draw,
      e: orders.erase,
      "[": () => orders.resize(-2),
      "]": () => orders.resize(2),
      z: orders.undo,
      y: orders.redo,
      c: () => orders.compare(true),
      o: orders.overlay,
      "/": orders.find,
    }[event.key];
    if (!order || event.altKey) return;
    event.preventDefault();
    order();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === "c") orders.compare(false);
  });
}
