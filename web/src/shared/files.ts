// Files of the visitor's.

export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** What a JSON file holds; `wanted` says in a few words what it should be, with the bytes it may have. */
export async function readJson(file: File, wanted: string, most: number): Promise<unknown> {
  const size = most.toLocaleString("en");
  if (file.size > most) throw new Error(`${file.name} has ${file.size} bytes; ${wanted} has ${size} at most`);
  try {
    return JSON.parse(await file.text());
  } catch {
    throw new Error(`${file.name} is not JSON; wanted ${wanted} that this page has saved`);
  }
}

/** What a blob holds, in base64. */
export async function encodeBlob(blob: Blob): Promise<string> {
  let text = "";
  const bytes = new Uint8Array(await blob.arrayBuffer());
  for (let start = 0; start < bytes.length; start += 32_768) {
    text += String.fromCharCode(...bytes.subarray(start, start + 32_768));
  }
  return btoa(text);
}
