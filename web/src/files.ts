// Pictures and edit lists as files of the visitor's.

import type { EditList } from "./types";

export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function saveEdits(list: EditList): void {
  saveBlob(new Blob([JSON.stringify(list, null, 1)], { type: "application/json" }), `edits-${list.image}.json`);
}

/** The edit list in a file, as far as can be told here; the server judges the rest. */
export async function readEdits(file: File): Promise<EditList> {
  if (file.size > 1_000_000) throw new Error(`${file.name} has ${file.size} bytes; an edit list has 1,000,000 at most`);
  let value: unknown;
  try {
    value = JSON.parse(await file.text());
  } catch {
    throw new Error(`${file.name} is not JSON; wanted an edit list that this page has saved`);
  }
  const list = value as Partial<EditList> | null;
  if (list?.format !== "unitscope edits" || !Array.isArray(list.strokes) || !Array.isArray(list.off)) {
    throw new Error(`${file.name} is no edit list; wanted one that this page has saved`);
  }
  return list as EditList;
}
