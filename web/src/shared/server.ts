// Talking to the server: one plain line when it does not answer, and again until it does.

/** The server understood, and said no. */
export class Refused extends Error {
  constructor(line: string, readonly status: number) {
    super(line);
  }
}

type Told = (line: string) => void;
let tell: Told = () => undefined;

/** Who is told that the server does not answer ("" when it does again). */
export function onTrouble(told: Told): void {
  tell = told;
}

/** The request that sends a value as JSON. */
export function post(value: unknown): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
}

/** The answer, once there is one. Throws `Refused` where the server will not. */
export async function ask(path: string, request: RequestInit = {}): Promise<Response> {
  for (let wait = 400; ; wait = Math.min(5000, wait * 2)) {
    let response: Response | undefined;
    try {
      response = await fetch(path, request);
    } catch (error) {
      if (request.signal?.aborted) throw error;
      response = undefined;
    }
    if (response?.ok) {
      tell("");
      return response;
    }
    if (response && response.status < 500 && response.status !== 429) {
      throw new Refused(await reason(response), response.status);
    }
    tell(response ? `The server is busy (${await reason(response)}); trying again.` : "The server does not answer; trying again.");
    await new Promise((done) => setTimeout(done, wait));
    request.signal?.throwIfAborted();
  }
}

async function reason(response: Response): Promise<string> {
  try {
    return ((await response.json()) as { error: string }).error;
  } catch {
    return `status ${response.status}`;
  }
}

/** A strip of pictures, as an address for style sheets. */
export async function askStrip(path: string): Promise<string> {
  return URL.createObjectURL(await (await ask(path)).blob());
}

/** Runs jobs one at a time; of those that wait only the latest is run. */
export class Latest<Job> {
  private waiting: Job | undefined;
  private running = false;

  constructor(private readonly run: (job: Job) => Promise<void>) {}

  async submit(job: Job): Promise<void> {
    this.waiting = job;
    if (this.running) return;
    this.running = true;
    try {
      while (this.waiting !== undefined) {
        const next: Job = this.waiting;
        this.waiting = undefined;
        try {
          await this.run(next);
        } catch (error) {
          // What came meanwhile is still to be done; only the last one's failure is told.
          if (this.waiting === undefined) throw error;
        }
      }
    } finally {
      this.running = false;
    }
  }
}
