// From switches to probabilities: at once with one random set beside them, with more once nothing moves.

import { find } from "../shared/elements";
import { Latest } from "../shared/server";
import { work } from "../shared/status";
import { tellChange } from "./classes";
import type { Lens } from "./lens";
import type { Step } from "./session";
import type { Tray } from "./slides";
import { listEdits } from "./switched";
import type { Turned } from "./types";

const REST = 300;
const DRAWS = 8;
const CLOCK = "switched";

interface Job {
  step: Step;
  draws: number;
}

export class Turner {
  /** What the switches of the step at hand have made; null where nothing is switched, or not yet known. */
  turned: Turned | null = null;
  private step: Step | undefined;
  private readonly jobs = new Latest((job: Job) => this.turn(job));
  private timer = 0;
  private settle: () => void = () => undefined;

  constructor(private readonly lens: Lens, private readonly tray: Tray, private readonly show: () => void) {}

  /** Starts the clock of the next answer. */
  begin(): void {
    performance.mark(CLOCK);
  }

  /** Asks for the switches of a step, in place of any before. */
  take(step: Step): void {
    const { step: last } = this;
    this.step = step;
    clearTimeout(this.timer);
    this.settle();
    if (step.picture !== last?.picture || !step.switches.length) this.turned = null;
    if (!step.switches.length) {
      performance.clearMarks(CLOCK);
      this.show();
      return;
    }
    work(this.jobs.submit({ step, draws: 1 }), "turn");
    work(
      new Promise((done) => {
        this.settle = done;
        this.timer = window.setTimeout(() => done(this.jobs.submit({ step, draws: DRAWS })), REST);
      }),
      "turn",
    );
  }

  private async turn({ step, draws }: Job): Promise<void> {
    const { picture } = step;
    const edits = listEdits(step);
    if (picture === null) return;
    const most = Math.min(draws, this.lens.project.limits.draws);
    const turned = edits.length ? await this.tray.ask([picture], (id) => this.lens.turn(id, edits, most)) : null;
    if (step !== this.step) return;
    this.turned = turned;
    this.show();
    measure();
    if (turned && draws > 1) find("spoken").textContent = tellChange(turned);
  }
}

/** How long it took from the hand to the page, for whoever asks the browser. */
function measure(): void {
  if (!performance.getEntriesByName(CLOCK, "mark").length) return;
  performance.measure("switch to probabilities", CLOCK);
  performance.clearMarks(CLOCK);
}
