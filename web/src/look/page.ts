// The page: what the visitor does becomes steps; what is under the lens is asked for and shown.

import { find, showComing } from "../shared/elements";
import type { Mask, Point } from "../shared/brush";
import { Latest } from "../shared/server";
import { Stage } from "../shared/stage";
import { say, work } from "../shared/status";
import { CARDS, showCards } from "./cards";
import { showClasses } from "./classes";
import { showComparison } from "./comparing";
import { showDetail } from "./detail";
import type { Lens } from "./lens";
import { type Here, showHere } from "./here";
import { covers, join } from "./regions";
import { drawOutlines, loadImage, outlineBrush, outlineUnits, tellPicture } from "./pictures";
import type { Session, Step, Switch, Tools } from "./session";
import type { Tray } from "./slides";
import { Sights } from "./sights";
import { showSum } from "./sum";
import { isSame, showConcepts, showSwitches, withReach } from "./switched";
import { showPressed, showTools } from "./tools";
import { Turner } from "./turner";
import type { Comparison, Layer, Picture, Sight, Unit } from "./types";

const BRUSH_SIDE = 96;

export interface Watcher {
  /** Another picture is under the lens. */
  saw(picture: Picture): void;
  /** Another step is at hand. */
  stepped(step: Step): void;
}

export class Page {
  readonly stage: Stage;
  private readonly looks = new Latest((step: Step) => this.look(step));
  private readonly turner: Turner;
  private readonly seconds = new Latest((step: Step) => this.compare(step));
  private readonly places = new Latest((at: Point) => this.ask(at));
  private readonly details = new Latest((card: { layer: string; unit: number }) => this.detail(card));
  private readonly sights: Sights;
  private readonly units = new Map<string, Map<number, Unit>>();
  private picture: Picture | undefined;
  private image = "";
  private sight: Sight | null = null;
  private sightKey = "";
  private second: Sight | null = null;
  private comparison: { found: Comparison; pictures: [Picture, Picture] } | undefined;
  private pointed: number[] = [];
  private shown = { cards: CARDS, moved: CARDS, classes: false };

  constructor(
    readonly lens: Lens,
    readonly session: Session,
    readonly tray: Tray,
    /** Whether there is a server to ask. */
    readonly live: boolean,
    private readonly watcher: Watcher,
  ) {
    const { project } = lens;
    this.sights = new Sights(lens, tray);
    this.turner = new Turner(lens, tray, () => this.showAnswers());
    const sides: [number, number] = [...project.size];
    this.stage = new Stage(
      find<HTMLCanvasElement>("stage"),
      { size: sides, mask: [BRUSH_SIDE, BRUSH_SIDE] },
      () => (this.tools.size / 200) * BRUSH_SIDE,
      {
        began: () => true,
        moved: (mask) => this.outline(join(this.step.region, mask)),
        ended: (mask) => this.push({ region: join(this.step.region, mask) }),
        pointed: (at) => this.point(at),
      },
    );
    find("about").textContent = `${project.network.name} · ${project.run.source}`;
  }

  get tools(): Tools {
    return this.session.tools;
  }

  get step(): Step {
    return this.session.now;
  }

  private get layer(): Layer {
    const found = this.lens.project.layers.find((one) => one.layer === this.tools.layer);
    if (!found) throw new Error("the run has no layers");
    return found;
  }

  private get named(): Map<number, Unit> {
    return this.units.get(this.tools.layer) ?? new Map();
  }

  // --- steps -----------------------------------------------------------------------------------------

  /** A new step, in place of the one at hand if `over`. */
  push(change: Partial<Step>, over = false): void {
    if (change.switches || change.region !== undefined) this.turner.begin();
    const { picture = this.step.picture, other = this.step.other } = change;
    if (picture === other) change = { ...change, other: null };
    this.session.push(change, over);
    this.refresh();
  }

  move(by: number): void {
    if (!this.stage.painting && this.session.move(by)) this.refresh();
  }

  change(tools: Partial<Tools>): void {
    this.session.change(tools);
    this.showTools();
  }

  /** Everything that depends on the step at hand. */
  refresh(): void {
    const { step } = this;
    find<HTMLButtonElement>("undo").disabled = this.session.first;
    find<HTMLButtonElement>("redo").disabled = this.session.last;
    this.showTools();
    this.showSwitched();
    this.watcher.stepped(step);
    find("empty").hidden = step.picture !== null;
    if (step.picture === null) return;
    work(this.looks.submit(step), "look");
    this.turner.take(step);
    find("comparison").hidden = find("second").hidden = step.other === null;
    this.tell();
    if (step.other !== null) work(this.seconds.submit(step), "compare");
    this.outline();
  }

  // --- what is under the lens ------------------------------------------------------------------------

  private async look(step: Step): Promise<void> {
    const { tools } = this;
    const { layer } = tools;
    const key = step.picture;
    if (key === null) return;
    const picture = await this.tray.get(key);
    const shown = await this.showPicture(picture, key);
    if (!shown) return;
    await this.list(layer);
    const name = `${picture.image} ${layer} ${step.class}`;
    const sight = await this.sights.get(picture, key, layer, step.class).catch((error: unknown) => {
      // What another layer showed would stand under the wrong name.
      this.forget();
      throw error;
    });
    if (step.picture !== this.step.picture || step.class !== this.step.class || layer !== this.tools.layer) return;
    if (name === this.sightKey) return;
    this.sightKey = name;
    this.sight = sight;
    this.shown.cards = CARDS;
    this.showAnswers();
    this.showSight();
    if (!tools.layers.includes(layer)) this.session.change({ layers: [...tools.layers, layer] });
    if (this.tools.card) this.open(this.tools.card, false);
  }

  private forget(): void {
    this.sight = null;
    this.sightKey = "";
    this.showSight();
  }

  /** False where another picture has been chosen meanwhile. */
  private async showPicture(picture: Picture, key: number): Promise<boolean> {
    if (picture.image === this.image) return key === this.step.picture;
    const image = await loadImage(picture.image);
    if (key !== this.step.picture) return false;
    this.image = picture.image;
    this.picture = picture;
    const [rows, columns] = picture.shown;
    const scale = BRUSH_SIDE / Math.max(rows, columns);
    this.stage.reshape({
      size: picture.shown,
      mask: [Math.max(1, Math.round(rows * scale)), Math.max(1, Math.round(columns * scale))],
    });
    this.stage.show(image);
    this.pointed = [];
    this.tell();
    find("here").replaceChildren();
    this.showAnswers();
    this.watcher.saw(picture);
    return true;
  }

  private tell(): void {
    if (this.picture) find("caption").textContent = tellPicture(this.picture, this.step.other === null ? "" : "A");
  }

  private async list(layer: string): Promise<void> {
    if (this.units.has(layer)) return;
    const units = await this.lens.units(layer);
    this.units.set(layer, new Map(units.map((one) => [one.unit, one])));
    this.showSwitched();
  }

  private async compare(step: Step): Promise<void> {
    const { layer } = this.tools;
    const { picture, other } = step;
    if (picture === null || other === null) return;
    const found = await this.tray.ask([picture, other], (one, two) => this.lens.compare([one ?? "", two ?? ""], layer));
    const pictures: [Picture, Picture] = [await this.tray.get(picture), await this.tray.get(other)];
    this.second = await this.sights.get(pictures[1], other, layer, step.class);
    await this.list(layer);
    if (step.picture !== this.step.picture || other !== this.step.other || layer !== this.tools.layer) return;
    const image = find<HTMLImageElement>("second-image");
    image.src = pictures[1].image;
    find("second-caption").textContent = tellPicture(pictures[1], "B");
    this.comparison = found ? { found, pictures } : undefined;
    this.showMoved();
    this.outline();
  }

  // --- units -----------------------------------------------------------------------------------------

  /** Opens a unit; a hand that chose it is led there. */
  open(card: { layer: string; unit: number }, lead = true): void {
    const seen = this.tools.seen.filter((one) => one.layer !== card.layer || one.unit !== card.unit);
    this.session.change({ card, seen: [...seen, card].slice(-this.lens.project.limits.cards) });
    work(this.details.submit(card).then(() => {
      if (!lead) return;
      showComing(find("detail"));
      find("detail-title").focus({ preventScroll: true });
    }));
    this.outline();
  }

  close(): void {
    const held = this.tools.card;
    this.session.change({ card: null });
    find("detail").hidden = true;
    this.outline();
    if (held) document.querySelector<HTMLElement>(`[data-cards] [data-card="${held.unit}"]`)?.focus();
  }

  private async detail(card: { layer: string; unit: number }): Promise<void> {
    await this.list(card.layer);
    const unit = this.units.get(card.layer)?.get(card.unit);
    if (!unit) return;
    const show = (found: Awaited<ReturnType<Lens["card"]>>): void => {
      if (card.unit !== this.tools.card?.unit || card.layer !== this.tools.card.layer) return;
      showDetail(unit, found, card.layer, this.tools.naming, this.live);
      this.showPressed();
    };
    const shown = find("detail").dataset["shown"];
    const name = `${card.layer} ${card.unit} ${this.tools.naming}`;
    if (shown === name && !find("detail").hidden) return;
    find("detail").dataset["shown"] = name;
    if (find("detail").hidden || this.live) show(null);
    show(await this.tray.ask([], () => this.lens.card(card.layer, card.unit)));
  }

  /** Switches units or a concept off or up; the same once more, and they are left alone. */
  flip(which: Pick<Switch, "units" | "concept" | "layer">, up: boolean): void {
    const made = withReach({ ...which, level: 0, strength: 1, under: this.tools.brush }, up, 100);
    const { switches } = this.step;
    const held = switches.find((one) => isSame(one, made));
    const rest = switches.filter((one) => one !== held);
    const most = this.lens.project.limits.edits;
    if (held && (held.level > 0) === up) this.push({ switches: rest });
    else if (rest.length < most) this.push({ switches: [...rest, made] });
    say("switches", rest.length < most ? "" : `${most} switches are all that a picture takes; take one away.`);
  }

  // --- the picture under a hand ----------------------------------------------------------------------

  private point(at: Point | undefined): void {
    if (!at || !this.sight || this.tools.brush) return;
    const [rows, columns] = this.sight.mask;
    const place = Math.min(rows - 1, Math.floor(at.y * rows)) * columns + Math.min(columns - 1, Math.floor(at.x * columns));
    const here = this.sight.units.filter((one) => covers(one.runs, place));
    this.showHere(here.map((one) => ({ unit: one.unit, activation: null })), 0);
    if (this.live) void this.places.submit(at).catch(() => undefined);
  }

  private async ask(at: Point): Promise<void> {
    const { picture } = this.step;
    const { layer } = this.tools;
    if (picture === null) return;
    const found = await this.tray.ask([picture], (id) => this.lens.at(id, layer, at.x, at.y));
    if (found && picture === this.step.picture && layer === this.tools.layer) this.showHere(found.units, found.left_out);
  }

  private showHere(here: Here[], left: number): void {
    showHere(here, left, this.named, this.tools.naming);
  }

  /** Lights the regions of units up; of the unit that is open, if of none. */
  light(units: number[]): void {
    if (String(units) === String(this.pointed)) return;
    this.pointed = units;
    this.outline();
  }

  private outline(region: Mask | null = this.step.region): void {
    const { card, layer } = this.tools;
    const lit = this.pointed.length ? this.pointed : card?.layer === layer ? [card.unit] : [];
    const kind = this.pointed.length ? "lit" : "plain";
    const brush = region ? [outlineBrush(region)] : [];
    drawOutlines("outlines", [...outlineUnits(this.sight, lit, this.named, kind), ...brush]);
    drawOutlines("second-outlines", this.step.other === null ? [] : outlineUnits(this.second, lit, this.named, kind));
  }

  // --- what is shown ---------------------------------------------------------------------------------

  private showAnswers(): void {
    if (!this.picture) return;
    const explained = this.step.class ?? this.picture.classes[0]?.class ?? 0;
    showClasses(this.picture, this.turner.turned, explained, this.shown.classes, this.live);
  }

  private showSight(): void {
    const { sight, picture, tools, layer } = this;
    find("sum-panel").hidden = !sight;
    find("units-title").textContent = sight || this.live ? "Units that fire" : "Units that fire: not saved";
    if (!sight) for (const name of ["cards", "fired"]) find(name).replaceChildren();
    if (!sight || !picture) return;
    showSum(sight, layer, this.named, tools.naming);
    this.showShelf();
    this.showLikely();
    this.outline();
  }

  private showShelf(): void {
    const { sight, picture, tools, layer } = this;
    if (!sight || !picture) return;
    const wanted = find<HTMLInputElement>("search").value.trim().toLowerCase();
    const { naming, order } = tools;
    showCards({ sight, picture, layer, units: this.named, naming, order, wanted, shown: this.shown.cards, live: this.live });
    this.showPressed();
  }

  showLikely(): void {
    const likely: number[] = [];
    for (const one of this.sight?.sum.shown ?? []) {
      const concept = this.named.get(one.unit)?.concept ?? null;
      if (concept !== null && !likely.includes(concept)) likely.push(concept);
    }
    const wanted = find<HTMLInputElement>("concept-search").value.trim().toLowerCase();
    showConcepts(this.lens.project, this.tools.everywhere ? null : this.tools.layer, wanted, likely);
    this.showPressed();
  }

  private showMoved(): void {
    if (!this.comparison) return;
    const { found, pictures } = this.comparison;
    showComparison(found, pictures, this.named, this.tools.naming, this.shown.moved);
  }

  private showSwitched(): void {
    showSwitches(this.step, this.units, this.lens.project, this.tools.naming, this.live);
    this.showPressed();
  }

  private showPressed(): void {
    showPressed(this.step.switches, this.tools);
  }

  /** Shows more of a list. */
  more(list: "cards" | "moved" | "classes"): void {
    if (list === "classes") this.shown.classes = true;
    else this.shown[list] += CARDS;
    if (list === "classes") this.showAnswers();
    else if (list === "cards") this.showShelf();
    else this.showMoved();
  }

  /** Shows the cards anew: in another order, or others wanted. */
  sift(): void {
    this.shown.cards = CARDS;
    this.showShelf();
  }

  /** The units that a saved session tells all of: those that were opened, then those that add most here. */
  chooseCards(most: number): { layer: string; unit: number }[] {
    const { layer, seen } = this.tools;
    const opened = [...seen].reverse();
    const added = (this.sight?.sum.shown ?? []).map(({ unit }) => ({ layer, unit }));
    const others = added.filter((one) => !opened.some((held) => held.layer === layer && held.unit === one.unit));
    return [...opened, ...others].slice(0, most);
  }

  /** Shows the units by other names. */
  rename(): void {
    this.showSight();
    this.showMoved();
    this.showSwitched();
    if (this.tools.card) work(this.details.submit(this.tools.card));
  }

  showTools(): void {
    showTools(this.tools, this.layer, this.step.region !== null);
    this.stage.brushing = this.tools.brush && this.live;
  }
}
