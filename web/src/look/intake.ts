// How pictures come in: chosen, dropped, pasted, or from the camera.

import { find } from "../shared/elements";

export interface Taker {
  picture(file: Blob, name: string): void;
  session(file: File): void;
}

/** Listens for files; a JSON file is a session, anything else a picture. */
export function listenToFiles(taker: Taker): void {
  const take = (file: File | null | undefined): void => {
    if (!file) return;
    if (file.type === "application/json" || file.name.endsWith(".json")) taker.session(file);
    else taker.picture(file, file.name);
  };
  for (const [button, input] of [["choose", "picture-file"], ["open", "session-file"]] as const) {
    const field = find<HTMLInputElement>(input);
    find(button).addEventListener("click", () => field.click());
    field.addEventListener("change", () => {
      take(field.files?.[0]);
      field.value = "";
    });
  }
  const hint = find("drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    hint.hidden = !event.dataTransfer?.types.includes("Files");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) hint.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    hint.hidden = true;
    take(event.dataTransfer?.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file) taker.picture(file, file.name || "pasted");
  });
}

const PACE = 1000;
const SIDE = 640;

/** The camera: a frame a second for as long as it is on. */
export class Camera {
  private stream: MediaStream | undefined;
  private turn = 0;

  /** `frame` is awaited: no frame is taken while one is on its way. */
  constructor(private readonly frame: (picture: Blob) => Promise<void>, private readonly stopped: () => void) {}

  /** Whether this browser lets a page have a camera. */
  static get there(): boolean {
    return Boolean(navigator.mediaDevices?.getUserMedia);
  }

  get on(): boolean {
    return this.stream !== undefined;
  }

  /** Throws an error with a line to read where there is no camera, or the visitor says no. */
  async start(): Promise<void> {
    const turn = ++this.turn;
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: SIDE }, audio: false });
    } catch (error) {
      const refused = error instanceof DOMException && error.name === "NotAllowedError";
      throw new Error(refused ? "The browser does not allow the camera here." : "There is no camera that can be used.");
    }
    if (turn !== this.turn) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    this.stream = stream;
    const video = document.createElement("video");
    video.muted = true;
    video.playsInline = true;
    video.srcObject = stream;
    stream.getVideoTracks()[0]?.addEventListener("ended", () => this.stop());
    await video.play();
    void this.run(video, turn);
  }

  stop(): void {
    this.turn++;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.stopped();
  }

  private async run(video: HTMLVideoElement, turn: number): Promise<void> {
    while (turn === this.turn) {
      const began = performance.now();
      const picture = document.hidden ? null : await take(video);
      if (turn !== this.turn) return;
      try {
        if (picture) await this.frame(picture);
      } catch {
        this.stop();
        return;
      }
      await new Promise((done) => setTimeout(done, Math.max(0, PACE - (performance.now() - began))));
    }
  }
}

function take(video: HTMLVideoElement): Promise<Blob | null> {
  const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
  canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
  canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
}
