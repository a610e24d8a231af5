// Edit lists as files of the visitor's.

import { readJson, saveBlob } from "../shared/files";
import type { EditList } from "./types";

/** With a picture in it. */
const MOST = 27_000_000;

export function isJson(file: File): boolean {
  return file.type === "application/json" || file.name.toLowerCase().endsWith(".json");
}

export function saveEdits(list: EditList): void {
  saveBlob(new Blob([JSON.stringify(list, null, 1)], { type: "application/json" }), `edits-${list.image}.json`);
}

/** Files that are dropped on the page, or pasted. */
export function listenToDrops(open: (files: File[]) => void): void {
  const mark = (on: boolean): void => void document.body.classList.toggle("dropping", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(Boolean(event.dataTransfer?.types.includes("Files")));
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && mark(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    open([...(event.dataTransfer?.files ?? [])]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) open(files);
  });
}

/** The edit list in a file, as far as can be told here; the server judges the rest. */
export async function readEdits(file: File): Promise<EditList> {
  const list = (await readJson(file, "an edit list", MOST)) as Partial<EditList> | null;
  if (list?.format !== "unitscope edits" || !Array.isArray(list.strokes) || !Array.isArray(list.off)) {
    throw new Error(`${file.name} is no edit list; wanted one that this page has saved`);
  }
  return list as EditList;
}
