// What the paint page asks of its server.

import { ask, post } from "../shared/server";
import type { Changes, EditList, Project } from "./types";

export async function askProject(): Promise<Project> {
  return (await ask("api/project")).json() as Promise<Project>;
}

export async function askPicture(list: EditList): Promise<Blob> {
  return (await ask("api/render", post(list))).blob();
}

export async function askChanges(list: EditList): Promise<Changes> {
  return (await ask("api/changes", post(list))).json() as Promise<Changes>;
}
