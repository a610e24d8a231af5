// The canvas: shows the picture, takes strokes by mouse, pen, finger and keyboard.

import { Bitmap, eachRun, type Point } from "./brush";
import type { Change, Mask } from "./types";

const GAINED = [0, 158, 115];
const LOST = [213, 94, 0];

export interface Hands {
  /** A stroke may begin. */
  began(): boolean;
  /** What the stroke has covered so far. */
  moved(mask: Mask): void;
  ended(mask: Mask): void;
}

interface Sides {
  size: [number, number];
  mask: [number, number];
}

export class Stage {
  private readonly context: CanvasRenderingContext2D;
  private picture: ImageBitmap | undefined;
  private original: ImageBitmap | undefined;
  private comparing = false;
  private overlay: HTMLCanvasElement | undefined;
  private stroke: Bitmap | undefined;
  private last: Point | undefined;
  private brush: Point | undefined;
  private cursor: Point;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly sides: Sides,
    private readonly radius: () => number,
    private readonly hands: Hands,
  ) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser has no canvas");
    this.context = context;
    this.cursor = { x: sides.mask[1] / 2, y: sides.mask[0] / 2 };
    canvas.style.aspectRatio = `${sides.size[1]} / ${sides.size[0]}`;
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.listen();
    this.fit();
  }

  /** Shows a picture, and what it was before any stroke. */
  show(picture: ImageBitmap, original: ImageBitmap | undefined): void {
    this.picture = picture;
    if (original) this.original = original;
    this.draw();
  }

  compare(on: boolean): void {
    this.comparing = on;
    this.draw();
  }

  /** Shows where these concepts are new and where they are gone; nothing if there are none. */
  mark(changes: Change[], size: [number, number]): void {
    this.overlay = changes.length ? paintMarks(changes, size) : undefined;
    this.draw();
  }

  redraw(): void {
    this.draw();
  }

  /** Moves the brush of the keyboard. */
  step(right: number, down: number): void {
    const [rows, columns] = this.sides.mask;
    const from = this.cursor;
    this.cursor = {
      x: Math.min(columns - 0.5, Math.max(0.5, from.x + right)),
      y: Math.min(rows - 0.5, Math.max(0.5, from.y + down)),
    };
    this.brush = this.cursor;
    if (this.stroke) this.extend(this.cursor);
    this.draw();
  }

  /** Begins a stroke where the keyboard's brush is. */
  press(): void {
    if (!this.stroke) this.begin(this.cursor);
  }

  release(): void {
    const stroke = this.stroke;
    this.stroke = this.last = undefined;
    if (stroke && !stroke.empty) this.hands.ended(stroke.mask());
    this.draw();
  }

  get painting(): boolean {
    return this.stroke !== undefined;
  }

  private listen(): void {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.stroke || !event.isPrimary) return;
      canvas.setPointerCapture(event.pointerId);
      this.begin(this.place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!event.isPrimary) return;
      this.brush = this.place(event);
      const events = event.getCoalescedEvents?.() ?? [];
      if (this.stroke) for (const one of events.length ? events : [event]) this.extend(this.place(one));
      this.draw();
    });
    for (const kind of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(kind, (event) => {
        if (!event.isPrimary) return;
        if (event.pointerType === "touch") this.brush = undefined;
        this.release();
      });
    }
    canvas.addEventListener("pointerleave", () => {
      if (this.stroke) return;
      this.brush = undefined;
      this.draw();
    });
    canvas.addEventListener("focus", () => {
      if (canvas.matches(":focus-visible")) this.brush = this.cursor;
      this.draw();
    });
    canvas.addEventListener("blur", () => {
      this.brush = undefined;
      this.release();
    });
  }

  private begin(at: Point): void {
    if (!this.hands.began()) return;
    this.stroke = new Bitmap(...this.sides.mask);
    this.brush = this.last = at;
    this.extend(at);
  }

  private extend(to: Point): void {
    if (!this.stroke) return;
    this.stroke.cover(this.last ?? to, to, this.radius());
    this.last = to;
    this.cursor = to;
    if (!this.stroke.empty) this.hands.moved(this.stroke.mask());
  }

  private place(event: PointerEvent): Point {
    const box = this.canvas.getBoundingClientRect();
    const [rows, columns] = this.sides.mask;
    return {
      x: ((event.clientX - box.left) / box.width) * columns,
      y: ((event.clientY - box.top) / box.height) * rows,
    };
  }

  private fit(): void {
    const width = Math.max(1, Math.round(this.canvas.clientWidth * devicePixelRatio));
    const height = Math.max(1, Math.round((width * this.sides.size[0]) / this.sides.size[1]));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.draw();
  }

  private draw(): void {
    const { context, canvas } = this;
    const picture = this.comparing ? (this.original ?? this.picture) : this.picture;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!picture) return;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    if (this.overlay && !this.comparing) {
      context.imageSmoothingEnabled = false;
      context.drawImage(this.overlay, 0, 0, canvas.width, canvas.height);
    }
    if (this.brush && !this.comparing) this.drawBrush(this.brush);
  }

  private drawBrush(at: Point): void {
    const { context, canvas } = this;
    const scale = canvas.width / this.sides.mask[1];
    for (const [ink, width] of [["rgb(0 0 0 / 60%)", 3.5], ["white", 1.5]] as const) {
      context.beginPath();
      context.arc(at.x * scale, at.y * scale, Math.max(this.radius() * scale, 3), 0, 2 * Math.PI);
      context.strokeStyle = ink;
      context.lineWidth = width * devicePixelRatio;
      context.stroke();
    }
  }
}

function paintMarks(changes: Change[], [rows, columns]: [number, number]): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.height, canvas.width] = [rows, columns];
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const data = context.createImageData(columns, rows);
  const fill = (runs: number[], color: number[]): void =>
    eachRun(runs, (start, stop) => {
      for (let place = start; place < stop; place++) data.data.set([...color, 170], 4 * place);
    });
  // What is lost in one place is gained by another concept there; the gain is drawn on top.
  for (const change of changes) fill(change.lost_runs, LOST);
  for (const change of changes) fill(change.gained_runs, GAINED);
  context.putImageData(data, 0, 0);
  return canvas;
}
