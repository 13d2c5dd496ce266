/** Types whose names in the document carry their module, because another module has the same word. */
import type { paths } from "./schema";

type Answer<Path extends keyof paths, Method extends "get" | "post"> = paths[Path] extends {
  [M in Method]: { responses: { 200: { content: { "application/json": infer Body } } } };
}
  ? Body
  : never;

export type JobOut = Answer<"/api/server/jobs/{job_id}", "get">["job"];
export type ChannelOut = Answer<"/api/notifications/channels", "get">["channels"][number];
export type OverviewOut = Answer<"/api/admin/overview", "get">;
