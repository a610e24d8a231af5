// What the page tells of its own work: one line above it, and whether it is at work.

import { find } from "./elements";

const lines = new Map<string, string>();
let pending = 0;

/** One line above the page: what the server, or a file, is in the way of. */
export function say(from: string, line: string): void {
  if (line) lines.set(from, line);
  else lines.delete(from);
  const status = find("status");
  status.textContent = [...lines.values()].join(" ");
  status.hidden = !lines.size;
}

/** The page is at work until this is done; what goes wrong is told, until the same goes well. */
export function work(done: Promise<void>, from = "refused"): void {
  pending++;
  document.body.dataset["state"] = "working";
  done
    .then(() => say(from, ""))
    .catch((error: unknown) => say(from, error instanceof Error ? error.message : String(error)))
    .finally(() => {
      pending--;
      if (!pending) document.body.dataset["state"] = "ready";
    });
}
