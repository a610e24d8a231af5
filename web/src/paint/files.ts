// Edit lists as files of the visitor's.

import { readJson, saveBlob } from "../shared/files";
import type { EditList } from "./types";

export function saveEdits(list: EditList): void {
  saveBlob(new Blob([JSON.stringify(list, null, 1)], { type: "application/json" }), `edits-${list.image}.json`);
}

/** The edit list in a file, as far as can be told here; the server judges the rest. */
export async function readEdits(file: File): Promise<EditList> {
  const list = (await readJson(file, "an edit list", 1_000_000)) as Partial<EditList> | null;
  if (list?.format !== "unitscope edits" || !Array.isArray(list.strokes) || !Array.isArray(list.off)) {
    throw new Error(`${file.name} is no edit list; wanted one that this page has saved`);
  }
  return list as EditList;
}
