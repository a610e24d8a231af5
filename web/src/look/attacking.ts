// The attack: begun, followed, given up.

import { find, make } from "../shared/elements";
import { plain } from "./names";
import type { Server } from "./lens";
import type { Attack, Picture, Project } from "./types";

const PACE = 250;
const METHODS: Record<string, string> = { "pgd-linf": "PGD, largest change", "pgd-l2": "PGD, sum of squares", cw: "Carlini and Wagner" };

/** The panel of the attack; `done` is told of the picture that comes of it. */
export class Attacker {
  private running: string | undefined;
  private readonly names: string[];

  constructor(private readonly server: Server, private readonly done: (picture: Picture) => Promise<void>) {
    const { project } = server;
    this.names = nameClasses(project);
    find("target").append(...this.names.map((name, place) => make("option", { value: place }, name)));
    find("method").append(...project.attacks.map((name) => make("option", { value: name }, METHODS[name] ?? name)));
    find("cancel").addEventListener("click", () => {
      if (this.running) void this.server.cancel(this.running).catch(() => undefined);
    });
  }

  /** Aims at the second likeliest class of a picture, unless the visitor has aimed. */
  aim(picture: Picture): void {
    const select = find<HTMLSelectElement>("target");
    const predicted = picture.classes[0]?.class;
    for (const option of select.options) option.disabled = Number(option.value) === predicted;
    if (!select.dataset["aimed"] || Number(select.value) === predicted) {
      select.value = String(picture.classes[1]?.class ?? 0);
    }
  }

  /** Attacks a picture and follows it to its end. */
  async run(begin: (target: number, method: string) => Promise<string>): Promise<void> {
    if (this.running !== undefined) return;
    this.show(true, "");
    try {
      this.running = "";
      this.running = await begin(Number(find<HTMLSelectElement>("target").value), find<HTMLSelectElement>("method").value);
      const found = await this.follow(this.running);
      this.show(false, this.tell(found));
      if (found.picture) await this.done(found.picture);
    } catch (error) {
      this.show(false, error instanceof Error ? error.message : String(error));
    } finally {
      this.running = undefined;
    }
  }

  private async follow(attack: string): Promise<Attack> {
    const bar = find<HTMLProgressElement>("attack-bar");
    for (;;) {
      const found = await this.server.attacked(attack);
      bar.max = Math.max(1, found.steps);
      if (found.state === "waiting") bar.removeAttribute("value");
      else bar.value = found.done;
      if (found.state !== "waiting" && found.state !== "running") return found;
      await new Promise((done) => setTimeout(done, PACE));
    }
  }

  private show(running: boolean, line: string): void {
    find("attack-progress").hidden = !running;
    find<HTMLButtonElement>("attack").disabled = running;
    find("attack-note").textContent = line;
  }

  private tell(found: Attack): string {
    if (found.state === "cancelled") return "Cancelled.";
    if (found.state === "failed") return `The attack failed: ${found.error ?? "nobody says why"}.`;
    const [source, target] = [this.names[found.source], this.names[found.target]];
    const size = `the largest change of a color is ${plain(255 * (found.linf ?? 0), 1)} of 255`;
    return found.success ? `${source} became ${target}; ${size}.` : `The network still does not see ${target}; ${size}.`;
  }
}

/** All classes by name; by number where the network has no names. */
export function nameClasses(project: Project): string[] {
  return Array.from({ length: project.count }, (_, place) => project.classes[place] ?? `class ${place}`);
}
