// The bytes of the visitor's pictures, kept in the browser so that a server that forgot them gets them again.

const NAME = "unitscope look";
const STORE = "pictures";
const KEPT_DAYS = 2;

interface Kept {
  blob: Blob;
  at: number;
}

/** Pictures of one tab, by number; in memory alone where the browser keeps nothing. */
export class Blobs {
  private readonly memory = new Map<string, Blob>();
  private readonly opened: Promise<IDBDatabase | null>;

  constructor(private readonly tab: string) {
    this.opened = open().catch(() => null);
    void this.forget();
  }

  async put(key: number, blob: Blob): Promise<void> {
    this.memory.set(this.name(key), blob);
    await this.write((store) => store.put({ blob, at: Date.now() } satisfies Kept, this.name(key)));
  }

  async get(key: number): Promise<Blob | undefined> {
    const database = await this.opened;
    const held = this.memory.get(this.name(key));
    if (held || !database) return held;
    const request = database.transaction(STORE).objectStore(STORE).get(this.name(key)) as IDBRequest<Kept | undefined>;
    return (await wait(request).catch(() => undefined))?.blob;
  }

  private name(key: number): string {
    return `${this.tab} ${key}`;
  }

  private async write<Result>(change: (store: IDBObjectStore) => IDBRequest<Result>): Promise<void> {
    const database = await this.opened;
    if (!database) return;
    // A browser that is full still has them in memory.
    await wait(change(database.transaction(STORE, "readwrite").objectStore(STORE))).catch(() => undefined);
  }

  /** Pictures of tabs that have been closed for days go. */
  private async forget(): Promise<void> {
    const oldest = Date.now() - KEPT_DAYS * 86_400_000;
    const database = await this.opened;
    const request = database?.transaction(STORE, "readwrite").objectStore(STORE).openCursor();
    request?.addEventListener("success", () => {
      const cursor = request.result;
      if (!cursor) return;
      if ((cursor.value as Kept).at < oldest && !String(cursor.key).startsWith(this.tab)) cursor.delete();
      cursor.continue();
    });
  }
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STORE));
  return wait(request);
}

function wait<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((done, fail) => {
    request.addEventListener("success", () => done(request.result));
    request.addEventListener("error", () => fail(request.error ?? new Error("the browser keeps nothing")));
  });
}
