// The keyboard.

import type { Stage } from "./stage";

export interface Orders {
  undo(): void;
  redo(): void;
  /** What a key does. */
  pressed: Record<string, () => void>;
  /** What holds for as long as a key is down. */
  held: Record<string, (on: boolean) => void>;
}

const STEPS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function listenToKeys(stage: Stage, orders: Orders): void {
  listenToStage(stage);
  const pressed: Orders["pressed"] = { z: orders.undo, y: orders.redo, ...orders.pressed };
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
    const hold = orders.held[event.key];
    const order = hold ? () => hold(true) : pressed[event.key];
    if (!order || event.altKey) return;
    event.preventDefault();
    order();
  });
  document.addEventListener("keyup", (event) => orders.held[event.key]?.(false));
}

function listenToStage(stage: Stage): void {
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
}
