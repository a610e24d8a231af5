// The canvas: shows the picture, takes strokes by mouse, pen, finger and keyboard.

import { Bitmap, type Mask, type Point } from "./brush";

export interface Hands {
  /** A stroke may begin. */
  began(): boolean;
  /** What the stroke has covered so far. */
  moved(mask: Mask): void;
  ended(mask: Mask): void;
  /** Where a hand points, in shares of width and height; nowhere once it has left. */
  pointed?(at: Point | undefined): void;
}

/** Rows and columns of the picture, and of the bitmap that lies over it. */
export interface Sides {
  size: [number, number];
  mask: [number, number];
}

export class Stage {
  /** Whether hands paint; if not they point. */
  brushing = true;
  private readonly context: CanvasRenderingContext2D;
  private picture: CanvasImageSource | undefined;
  private original: CanvasImageSource | undefined;
  private comparing = false;
  private overlay: HTMLCanvasElement | undefined;
  private stroke: Bitmap | undefined;
  private last: Point | undefined;
  private brush: Point | undefined;
  private cursor: Point;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private sides: Sides,
    private readonly radius: () => number,
    private readonly hands: Hands,
  ) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser has no canvas");
    this.context = context;
    this.cursor = { x: 0, y: 0 };
    this.reshape(sides);
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.listen();
  }

  /** Shows a picture, and what it was before any stroke. */
  show(picture: CanvasImageSource | undefined, original?: CanvasImageSource): void {
    this.picture = picture;
    if (original) this.original = original;
    this.draw();
  }

  compare(on: boolean): void {
    this.comparing = on;
    this.draw();
  }

  /** Lays something over the picture. */
  cover(overlay: HTMLCanvasElement | undefined): void {
    this.overlay = overlay;
    this.draw();
  }

  /** Another picture, of other sides. */
  reshape(sides: Sides): void {
    this.sides = sides;
    this.cursor = { x: sides.mask[1] / 2, y: sides.mask[0] / 2 };
    this.canvas.style.aspectRatio = `${sides.size[1]} / ${sides.size[0]}`;
    this.fit();
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
    this.point(this.cursor);
    this.draw();
  }

  /** Begins a stroke where the keyboard's brush is. */
  press(): void {
    if (!this.stroke && this.brushing) this.begin(this.cursor);
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
      this.point(this.place(event));
      if (!this.brushing) return;
      canvas.setPointerCapture(event.pointerId);
      this.begin(this.place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!event.isPrimary) return;
      this.brush = this.brushing ? this.place(event) : undefined;
      this.point(this.place(event));
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
      this.hands.pointed?.(undefined);
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

  private point(at: Point): void {
    const [rows, columns] = this.sides.mask;
    const share = (value: number, most: number): number => Math.min(1, Math.max(0, value / most));
    this.hands.pointed?.({ x: share(at.x, columns), y: share(at.y, rows) });
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
      const radius = this.brushing ? Math.max(this.radius() * scale, 3) : 6 * devicePixelRatio;
      context.arc(at.x * scale, at.y * scale, radius, 0, 2 * Math.PI);
      context.strokeStyle = ink;
      context.lineWidth = width * devicePixelRatio;
      context.stroke();
    }
  }
}
