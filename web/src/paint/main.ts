// The page: what the visitor does becomes versions of a picture; the server draws them.

import type { Mask } from "../shared/brush";
import { find, make, makeSample, walk } from "../shared/elements";
import { listenToKeys } from "../shared/keys";
import { askStrip, Latest, onTrouble, Refused } from "../shared/server";
import { Stage } from "../shared/stage";
import { say, work } from "../shared/status";
import { makeChange, makePaint, makePhoto, makeUnit, unitsOf } from "./lists";
import { paintMarks } from "./marks";
import { listenToFiles, showPhoto } from "./opening";
import { Photos } from "./photos";
import { askChanges, askPicture, askProject } from "./requests";
import { BLANK, Session, type Tools, type Version } from "./session";
import { RULES, type Change, type Changes, type Image, type Paint, type Project, type Stroke } from "./types";

onTrouble((line) => say("server", line));

class Page {
  private readonly session: Session;
  private readonly stage: Stage;
  private readonly photos: Photos;
  private readonly originals = new Map<Image, ImageBitmap>();
  private readonly strips = new Map<string, Promise<string>>();
  private readonly pictures = new Latest((job: Job) => this.draw(job));
  private readonly comparisons = new Latest((job: Job) => this.compare(job));
  private changes: Changes | undefined;
  private pointed: string | undefined;
  private latest: Blob | undefined;

  constructor(private readonly project: Project) {
    this.session = new Session(project);
    this.photos = new Photos(project);
    const tools = this.session.tools;
    tools.paint = project.paints[tools.paint] ? tools.paint : 0;
    this.stage = new Stage(
      find<HTMLCanvasElement>("stage"),
      project,
      () => (this.tools.size / 200) * project.mask[1],
      {
        began: () => this.begin(),
        moved: (mask) => this.render(this.withStroke(mask), true),
        ended: (mask) => this.commit(this.withStroke(mask)),
      },
    );
    find("about").textContent = `${project.generator.name} · seed ${project.generator.seed}`;
    this.listenToTools();
    listenToFiles(this.session, this.photos, {
      choose: (image) => this.choose(image),
      commit: (version) => this.commit(version),
      listPhotos: () => this.listPhotos(),
      picture: () => this.latest,
    });
    this.showTools();
  }

  async open(): Promise<void> {
    await this.listPaints();
    await this.listPhotos();
    for (let block = 0; block < this.tools.blocks; block++) await this.listSamples(block);
    const { image } = this.tools;
    this.choose(typeof image === "number" || this.photos.find(image) ? image : 0);
    this.showUnits();
  }

  private get tools(): Tools {
    return this.session.tools;
  }

  private get paint(): Paint {
    const paint = this.project.paints[this.tools.paint];
    if (!paint) throw new Error("no paint");
    return paint;
  }

  private get layer(): string {
    const chosen = this.tools.layers[`${this.paint.category}/${this.paint.name}`];
    return this.paint.layers.some((one) => one.name === chosen) && chosen ? chosen : this.paint.layer;
  }

  // --- strokes ---------------------------------------------------------------------------------------

  private begin(): boolean {
    const full = this.session.now.strokes.length >= this.project.strokes;
    say("strokes", full ? `${this.project.strokes} strokes are all that a picture takes; undo some.` : "");
    return !full;
  }

  private withStroke(mask: Mask): Version {
    const { mode, rule, strength } = this.tools;
    const { name, category } = this.paint;
    const units = unitsOf(this.paint, this.layer).map((one) => one.unit);
    const stroke: Stroke = {
      layer: this.layer,
      units,
      mode,
      rule,
      strength: strength / 100,
      concept: { name, category },
      mask,
    };
    return { ...this.session.now, strokes: [...this.session.now.strokes, stroke] };
  }

  private commit(version: Version): void {
    this.session.push(version);
    this.refresh();
  }

  private step(by: number): void {
    if (!this.stage.painting && this.session.step(by)) this.refresh();
  }

  /** Everything that depends on the version at hand. */
  private refresh(): void {
    const { versions, at } = this.session.history;
    find<HTMLButtonElement>("undo").disabled = at === 0;
    find<HTMLButtonElement>("redo").disabled = at === versions.length - 1;
    const { strokes, off } = this.session.now;
    find<HTMLButtonElement>("reset").disabled = !strokes.length && !off.length;
    for (const button of find("strip").querySelectorAll<HTMLElement>("button")) {
      const image = imageOf(button);
      button.setAttribute("aria-current", String(image === this.tools.image));
      button.classList.toggle("painted", this.session.painted(image));
    }
    this.showOff();
    this.render(this.session.now, false);
  }

  private render(version: Version, live: boolean): void {
    const job = { image: this.tools.image, version };
    work(this.pictures.submit(job));
    if (!live) work(this.comparisons.submit(job));
  }

  private async draw({ image, version }: Job): Promise<void> {
    const blob = await this.photos.ask(askPicture, this.session.list(version, image));
    const picture = await createImageBitmap(blob);
    if (!version.strokes.length) this.originals.set(image, picture);
    if (image !== this.tools.image) return;
    this.latest = blob;
    this.stage.show(picture, this.originals.get(image));
    if (!this.originals.has(image)) {
      this.originals.set(image, await createImageBitmap(await this.photos.ask(askPicture, this.session.list(BLANK, image))));
      if (image === this.tools.image) this.stage.show(picture, this.originals.get(image));
    }
  }

  private async compare({ image, version }: Job): Promise<void> {
    const found = await this.photos.ask(askChanges, this.session.list(version, image));
    if (image !== this.tools.image || version !== this.session.now) return;
    this.changes = found;
    const rows = found.changes.map((change) => makeChange(change));
    find("changes").replaceChildren(...rows);
    find("unchanged").hidden = rows.length > 0;
    this.pointed = undefined;
    this.showMarks();
  }

  // --- pictures --------------------------------------------------------------------------------------

  private choose(image: Image): void {
    this.session.change({ image });
    showPhoto(typeof image === "string" ? this.photos.find(image) : undefined);
    this.changes = undefined;
    find("changes").replaceChildren();
    find("unchanged").hidden = false;
    this.showMarks();
    this.showTools();
    this.refresh();
  }

  /** Pictures from outside stand before the samples. */
  private async listPhotos(): Promise<void> {
    const ratio = this.project.tile[1] / this.project.tile[0];
    const made: HTMLElement[] = [];
    for (const photo of this.photos.all) {
      try {
        made.push(makePhoto(photo, await this.photos.strip(photo.key), ratio));
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        say("file", `${photo.picture} is no longer open (${error.message}); open it again.`);
      }
    }
    for (const old of find("strip").querySelectorAll("[data-photo-key]")) old.closest("li")?.remove();
    find("strip").prepend(...made);
  }

  private async listSamples(block: number): Promise<void> {
    const { project } = this;
    const strip = await this.strip(`api/samples/${block}.png`);
    const ratio = project.tile[1] / project.tile[0];
    const list = find("strip");
    for (let place = 0; place < project.block; place++) {
      list.append(makeSample(block * project.block + place, strip, place, project.block, ratio));
    }
    find("more").hidden = (block + 1) * project.block >= project.images;
  }

  private strip(path: string): Promise<string> {
    const found = this.strips.get(path) ?? askStrip(path);
    this.strips.set(path, found);
    return found;
  }

  // --- palette and units -----------------------------------------------------------------------------

  private async listPaints(): Promise<void> {
    const icons = await this.strip("api/icons.png");
    const { paints } = this.project;
    const list = find("palette");
    let category = "";
    paints.forEach((paint, number) => {
      if (paint.category !== category) list.append(make("li", { class: "category quiet" }, paint.category));
      category = paint.category;
      list.append(makePaint(paint, number, icons, paints.length));
    });
    walk(list);
    list.addEventListener("click", (event) => {
      const button = (event.target as HTMLElement).closest<HTMLElement>("[data-paint]");
      if (!button) return;
      this.session.change({ paint: Number(button.dataset["paint"]) });
      this.showTools();
      this.showUnits();
    });
    find<HTMLInputElement>("search").addEventListener("input", (event) => {
      const wanted = (event.target as HTMLInputElement).value.trim().toLowerCase();
      const items = [...list.querySelectorAll<HTMLElement>("[data-item]")];
      for (const item of items) {
        item.hidden = !(item.textContent ?? "").toLowerCase().includes(wanted);
      }
      for (const head of list.querySelectorAll<HTMLElement>(".category")) head.hidden = wanted !== "";
      find("none").hidden = items.some((item) => !item.hidden);
    });
    this.showTools();
  }

  private showUnits(): void {
    const { paint, layer } = this;
    find("unit-concept").textContent = paint.label;
    const select = find<HTMLSelectElement>("layer");
    select.replaceChildren(...paint.layers.map((one) => make("option", { value: one.name }, one.name)));
    select.value = layer;
    const place = paint.layers.findIndex((one) => one.name === layer);
    const found = paint.layers[place];
    if (!found) return;
    const { cells } = this.project.layers[layer] ?? { cells: [0, 0] };
    find("unit-note").textContent = `${cells[0]} × ${cells[1]} cells. Highest IoU first; click to leave one out.`;
    const wanted = this.tools.paint;
    void this.strip(`api/units/${wanted}/${place}.png`).then((strip) => {
      if (wanted !== this.tools.paint || layer !== this.layer) return;
      find("units").replaceChildren(...found.units.map((_, at) => makeUnit(paint, found, at, strip, true)));
      this.showOff();
    });
  }

  private showOff(): void {
    const off = new Set(this.session.now.off.filter((one) => one.layer === this.layer).map((one) => one.unit));
    for (const button of document.querySelectorAll<HTMLElement>("[data-unit]")) {
      button.setAttribute("aria-pressed", String(!off.has(Number(button.dataset["unit"]))));
    }
  }

  private switchUnit(unit: number): void {
    const { strokes, off } = this.session.now;
    const { layer } = this;
    const others = off.filter((one) => one.layer !== layer || one.unit !== unit);
    this.commit({ strokes, off: others.length < off.length ? others : [...off, { layer, unit }] });
  }

  // --- what is shown of the tools --------------------------------------------------------------------

  private showTools(): void {
    const { tools } = this;
    for (const button of document.querySelectorAll<HTMLElement>("[data-mode]")) {
      const on = button.dataset["mode"] === tools.mode;
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
    }
    for (const button of document.querySelectorAll<HTMLElement>("[data-paint]")) {
      const on = Number(button.dataset["paint"]) === tools.paint;
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
    }
    find<HTMLInputElement>("size").value = String(tools.size);
    find<HTMLInputElement>("strength").value = String(tools.strength);
    find<HTMLSelectElement>("rule").value = tools.rule;
    find("overlay").setAttribute("aria-pressed", String(tools.overlay));
    find("stage").setAttribute(
      "aria-label",
      `${this.nameImage()}. ${tools.mode === "draw" ? "Draws" : "Erases"} ${this.paint.label}. ` +
        "Arrow keys move the brush, space paints.",
    );
    this.stage.redraw();
  }

  private nameImage(): string {
    const { image } = this.tools;
    return typeof image === "string" ? (this.photos.find(image)?.picture ?? "A picture") : `Sample ${image}`;
  }

  private showMarks(): void {
    const all = this.changes?.changes ?? [];
    const key = (change: Change): string => `${change.category}/${change.name}`;
    const shown = this.pointed ? all.filter((one) => key(one) === this.pointed) : this.tools.overlay ? all : [];
    this.stage.cover(paintMarks(shown, this.changes?.size ?? this.project.size));
  }

  private change(tools: Partial<Tools>): void {
    this.session.change(tools);
    this.showTools();
  }

  private hold(on: boolean): void {
    this.stage.compare(on);
    find("flag").hidden = !on;
    find("flag").textContent = "Before";
  }

  private listenToTools(): void {
    for (const button of document.querySelectorAll<HTMLElement>("[data-mode]")) {
      button.addEventListener("click", () => this.change({ mode: button.dataset["mode"] === "erase" ? "erase" : "draw" }));
    }
    const mode = document.querySelector<HTMLElement>("[data-mode]")?.parentElement;
    mode?.addEventListener("keydown", (event) => {
      if (!event.key.startsWith("Arrow")) return;
      event.preventDefault();
      this.change({ mode: this.tools.mode === "draw" ? "erase" : "draw" });
      document.querySelector<HTMLElement>(`[data-mode=${this.tools.mode}]`)?.focus();
    });
    find<HTMLInputElement>("size").addEventListener("input", (event) =>
      this.change({ size: Number((event.target as HTMLInputElement).value) }),
    );
    find<HTMLInputElement>("strength").addEventListener("input", (event) =>
      this.change({ strength: Number((event.target as HTMLInputElement).value) }),
    );
    find<HTMLSelectElement>("rule").addEventListener("change", (event) =>
      this.change({ rule: RULES.find((rule) => rule === (event.target as HTMLSelectElement).value) ?? "mean" }),
    );
    find("undo").addEventListener("click", () => this.step(-1));
    find("redo").addEventListener("click", () => this.step(1));
    find("reset").addEventListener("click", () => this.commit(BLANK));
    const hold = find("compare");
    for (const kind of ["pointerdown", "pointerup", "pointercancel", "pointerleave"]) {
      hold.addEventListener(kind, () => this.hold(kind === "pointerdown"));
    }
    hold.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && this.hold(true));
    hold.addEventListener("keyup", () => this.hold(false));
    hold.addEventListener("blur", () => this.hold(false));
    const overlay = (): void => {
      this.change({ overlay: !this.tools.overlay });
      this.showMarks();
    };
    find("overlay").addEventListener("click", overlay);
    const table = find("changes");
    const point = (event: Event): void => {
      this.pointed = (event.target as HTMLElement).closest<HTMLElement>("tr")?.dataset["concept"];
      this.showMarks();
    };
    for (const kind of ["pointerover", "focusin"]) table.addEventListener(kind, point);
    for (const kind of ["pointerleave", "focusout"]) {
      table.addEventListener(kind, () => {
        this.pointed = undefined;
        this.showMarks();
      });
    }
    find("units").addEventListener("click", (event) => {
      const button = (event.target as HTMLElement).closest<HTMLElement>("[data-unit]");
      if (button) this.switchUnit(Number(button.dataset["unit"]));
    });
    find<HTMLSelectElement>("layer").addEventListener("change", (event) => {
      const key = `${this.paint.category}/${this.paint.name}`;
      this.session.change({ layers: { ...this.tools.layers, [key]: (event.target as HTMLSelectElement).value } });
      this.showUnits();
    });
    find("strip").addEventListener("click", (event) => {
      const button = (event.target as HTMLElement).closest<HTMLElement>("button");
      if (button) this.choose(imageOf(button));
    });
    find("more").addEventListener("click", () => {
      this.session.change({ blocks: this.tools.blocks + 1 });
      work(this.listSamples(this.tools.blocks - 1).then(() => this.refresh()));
    });
    const resize = (by: number): void => this.change({ size: Math.min(40, Math.max(1, this.tools.size + by)) });
    listenToKeys(this.stage, {
      undo: () => this.step(-1),
      redo: () => this.step(1),
      pressed: {
        d: () => this.change({ mode: "draw" }),
        e: () => this.change({ mode: "erase" }),
        "[": () => resize(-2),
        "]": () => resize(2),
        o: overlay,
        "/": () => find<HTMLInputElement>("search").focus(),
      },
      held: { c: (on) => this.hold(on) },
    });
  }
}

/** Which picture a button of the strip stands for. */
function imageOf(button: HTMLElement): Image {
  return button.dataset["photoKey"] ?? Number(button.dataset["image"]);
}

interface Job {
  image: Image;
  version: Version;
}

void askProject().then((project) => new Page(project).open());
