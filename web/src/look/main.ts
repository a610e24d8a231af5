// Where the page begins: with a server, or with the session that stands in it.

import { find, make, makeSample, showComing } from "../shared/elements";
import { saveBlob } from "../shared/files";
import { onTrouble, Refused } from "../shared/server";
import { say, work } from "../shared/status";
import { Attacker } from "./attacking";
import { Camera, listenToFiles } from "./intake";
import { type Archive, openServer, readArchive, type Server } from "./lens";
import { listen } from "./listening";
import { Page } from "./page";
import { choosePictures, readEmbedded, readSession, type SavedState } from "./saving";
import { type Naming, Session, type Step } from "./session";
import { Shown, Slides } from "./slides";
import { listEdits, readEdits } from "./switched";
import type { Picture, Saved } from "./types";

/** The page with a server: pictures come in, attacks run, sessions are saved. */
class Visit {
  private readonly session: Session;
  private readonly slides: Slides;
  private readonly page: Page;
  private readonly attacker: Attacker;
  private readonly camera: Camera;
  private choosing = false;
  private filmed: number | undefined;

  constructor(private readonly server: Server) {
    this.session = new Session(server.project, true);
    this.slides = new Slides(this.session, server);
    this.page = new Page(server, this.session, this.slides, true, {
      saw: (picture) => this.saw(picture),
      stepped: () => this.showOwn(),
    });
    this.attacker = new Attacker(server, (picture) => this.compareAttacked(picture));
    this.camera = new Camera((frame) => this.film(frame), () => this.showCamera());
    listen(this.page, { choose: (key) => this.choose(key), sample: (index) => this.choose(this.slides.sample(index)) });
    listenToFiles({
      picture: (file, name) => work(this.add(file, name)),
      session: (file) => work(this.reopen(file)),
    });
    this.listen();
  }

  async open(): Promise<void> {
    const { project } = this.server;
    for (let block = 0; block < this.session.tools.blocks; block++) await this.listSamples(block);
    if (project.samples_note) say("samples", project.samples_note);
    if (this.session.now.picture === null && project.samples) this.session.push({ picture: this.slides.sample(0) }, true);
    this.page.refresh();
    this.page.showLikely();
  }

  // --- pictures --------------------------------------------------------------------------------------

  /** A picture goes under the lens, or beside it while one to compare with is being chosen. */
  private choose(key: number): void {
    const beside = this.choosing && key !== this.session.now.picture;
    this.pick(false);
    if (!beside && this.camera.on && key !== this.filmed) this.camera.stop();
    if (beside) this.beside(key);
    else if (key !== this.session.now.picture) this.page.push({ picture: key, class: null });
  }

  private beside(key: number): void {
    this.pick(false);
    this.page.push({ other: key });
    showComing(find("comparison"));
  }

  private pick(on: boolean): void {
    this.choosing = on;
    find("compare").setAttribute("aria-pressed", String(on));
    find("compare").textContent = on ? "Choose above" : "Compare with…";
    document.body.classList.toggle("choosing", on);
    if (on) document.querySelector(".strip")?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  private async add(file: Blob, name: string): Promise<void> {
    const { limits } = this.server.project;
    if (file.size > limits.bytes) {
      say("file", `${name} has ${file.size} bytes; a picture has ${limits.bytes.toLocaleString("en")} at most.`);
      return;
    }
    await this.told(name, async () => this.choose(await this.slides.add(file, name)));
  }

  /** Does it; what the server says against a file is told with its name. */
  private async told(name: string, act: () => Promise<void>): Promise<void> {
    say("file", "");
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      say("file", error instanceof Refused ? `${name}: ${error.message}.` : `${error.message}.`);
    }
  }

  private saw(picture: Picture): void {
    this.attacker.aim(picture);
  }

  private async film(frame: Blob): Promise<void> {
    if (this.filmed !== undefined && this.session.now.picture !== this.filmed) {
      this.camera.stop();
    } else if (this.filmed === undefined) {
      this.filmed = await this.slides.add(frame, "camera");
      this.choose(this.filmed);
    } else {
      await this.slides.replace(this.filmed, frame);
      this.page.refresh();
    }
  }

  private showCamera(): void {
    find("camera").setAttribute("aria-pressed", String(this.camera.on));
    find("camera").textContent = this.camera.on ? "Stop" : "Camera";
    this.filmed = this.camera.on ? this.filmed : undefined;
  }

  private async listSamples(block: number): Promise<void> {
    const { project } = this.server;
    const first = block * project.block;
    if (first >= project.samples) return;
    const strip = await this.server.strip(block);
    const tiles = Math.min(project.block, project.samples - first);
    const ratio = project.tile[1] / project.tile[0];
    for (let place = 0; place < tiles; place++) find("strip").append(makeSample(first + place, strip, place, tiles, ratio));
    find("more").hidden = first + project.block >= project.samples;
  }

  /** The visitor's own pictures in front of the samples, and which of all are under the lens. */
  private showOwn(): void {
    const { slides, now } = this.session;
    find("swap").hidden = now.other === null;
    const own = slides.filter((one) => one.sample === null).slice(-this.server.project.limits.pictures);
    void showSlides(own.map(({ key, name }) => ({ key, name, thumb: this.slides.thumb(key) }))).then(() => mark(now, slides));
  }

  // --- what the visitor does -------------------------------------------------------------------------

  private listen(): void {
    const { page, session } = this;
    find("camera").hidden = !Camera.there;
    find("camera").addEventListener("click", () => {
      if (this.camera.on) this.camera.stop();
      else work(this.camera.start().then(() => this.showCamera()));
    });
    find("more").addEventListener("click", () => {
      session.change({ blocks: session.tools.blocks + 1 });
      work(this.listSamples(session.tools.blocks - 1).then(() => this.showOwn()));
    });
    find("compare").addEventListener("click", () => this.pick(!this.choosing));
    document.addEventListener("keydown", (event) => {
      const typing = event.target instanceof HTMLElement && event.target.matches("input[type=search], select");
      if (event.key === "c" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) this.pick(!this.choosing);
    });
    find("swap").addEventListener("click", () => {
      const { picture, other } = session.now;
      if (other !== null) page.push({ picture: other, other: picture });
    });
    find("compare-end").addEventListener("click", () => {
      page.push({ other: null });
      this.pick(false);
    });
    find("attack").addEventListener("click", () => {
      const { picture } = session.now;
      if (picture === null) return;
      void this.attacker.run((target, method) => this.slides.ask([picture], (id) => this.server.attack(id ?? "", target, method)));
    });
    find("target").addEventListener("change", () => (find("target").dataset["aimed"] = "yes"));
    find("save-json").addEventListener("click", () => work(this.save("session", "json")));
    find("save-page").addEventListener("click", () => work(this.save("session.html", "html")));
  }

  private async compareAttacked(picture: Picture): Promise<void> {
    const pixels = await this.server.pixels(picture.picture);
    const key = await this.slides.adopt(picture, pixels, true);
    this.beside(key);
  }

  // --- files -----------------------------------------------------------------------------------------

  private async save(kind: string, suffix: string): Promise<void> {
    const { session, server } = this;
    const { now, tools } = session;
    const { limits } = server.project;
    const keys = choosePictures(session, limits.pictures);
    const places = [now.picture, now.other].map((key) => (key === null ? -1 : keys.indexOf(key)));
    const state: SavedState = { layer: tools.layer, naming: tools.naming, card: tools.card };
    const blob = await this.slides.ask(keys, (...pictures) =>
      server.save(kind, {
        pictures,
        layers: tools.layers.length ? tools.layers : [tools.layer],
        class: now.class,
        edits: listEdits(now),
        cards: this.page.chooseCards(limits.cards),
        compare: now.other === null ? null : places,
        state,
      }),
    );
    saveBlob(blob, `look.${suffix}`);
  }

  /** The pictures of a saved session come back, and its switches. */
  private async reopen(file: File): Promise<void> {
    await this.told(file.name, async () => {
      const saved = await readSession(file, this.server.project.network.digest);
      const keys: number[] = [];
      for (const one of saved.pictures) keys.push(await this.slides.add(readEmbedded(one.fitted), one.picture.name, true));
      const tools = readTools(saved);
      if (this.server.project.layers.some((one) => one.layer === tools.layer)) this.session.change(tools);
      this.page.push(readStep(saved, keys));
    });
  }
}

function readTools(saved: Saved): { layer: string; naming: Naming } {
  const state = (saved.state ?? {}) as Partial<SavedState>;
  const naming = state.naming === "formula" || state.naming === "word" ? state.naming : "label";
  return { layer: state.layer ?? saved.layers.at(-1)?.layer ?? "", naming };
}

function readStep(saved: Saved, keys: number[]): Step {
  const other = saved.compared ? (keys[1] ?? null) : null;
  return { picture: keys[0] ?? null, other, class: saved.class, ...readEdits(saved.edits) };
}

async function showSlides(slides: { key: number; name: string; thumb: Promise<string | null> }[]): Promise<void> {
  const list = find("own");
  const addresses = await Promise.all(slides.map((one) => one.thumb));
  const shown = slides.map(({ key }, place) => `${key} ${addresses[place]}`).join();
  if (list.dataset["shown"] === shown) return;
  list.dataset["shown"] = shown;
  const items = slides.map(({ key, name }, place) => {
    const address = addresses[place];
    const tile = make("img", { class: "tile", alt: "", ...(address ? { src: address } : {}) });
    return make("li", {}, make("button", { type: "button", "data-slide": key, "aria-label": `Picture ${name}`, title: name }, tile));
  });
  list.replaceChildren(...items);
}

/** Which pictures are under the lens: A, and B beside it. */
function mark(now: Step, slides: { key: number; sample: number | null }[]): void {
  for (const button of document.querySelectorAll<HTMLElement>("[data-image], [data-slide]")) {
    const { image, slide } = button.dataset;
    const key = slide ?? slides.find((one) => one.sample === Number(image))?.key;
    const on = key !== undefined && Number(key) === now.picture;
    const beside = key !== undefined && Number(key) === now.other;
    button.setAttribute("aria-current", String(on));
    button.dataset["letter"] = now.other === null ? "" : on ? "A" : beside ? "B" : "";
  }
}

/** The page without a server: what was saved, to be looked at. */
function showArchive(archive: Archive): void {
  const { saved, project } = archive;
  document.body.classList.add("archive");
  for (const element of document.querySelectorAll<HTMLElement>("[data-live]")) element.hidden = true;
  const layers = project.layers.filter((one) => saved.layers.some((other) => other.layer === one.layer));
  project.layers = layers;
  const session = new Session(project, false);
  const pictures = saved.pictures.map((one) => one.picture);
  session.slides = pictures.map((one, key) => ({ key, name: one.name, sample: null, fitted: true, id: one.picture }));
  session.change({ ...readTools(saved), card: ((saved.state ?? {}) as Partial<SavedState>).card ?? null });
  session.push(readStep(saved, [...pictures.keys()]), true);
  document.querySelector<HTMLElement>(".strip")!.hidden = pictures.length < 2;
  const tray = new Shown(pictures);
  const list = (): void =>
    void showSlides(session.slides.map(({ key, name }) => ({ key, name, thumb: tray.thumb(key) }))).then(() => mark(session.now, session.slides));
  const page = new Page(archive, session, tray, false, { saw: () => undefined, stepped: list });
  const start = session.now;
  const choose = (key: number): void => page.push({ picture: key, other: key === start.picture ? start.other : null });
  listen(page, { choose, sample: () => undefined });
  page.refresh();
}

onTrouble((line) => say("server", line));
const archive = readArchive();
if (archive) showArchive(archive);
else void openServer().then((server) => new Visit(server).open());
