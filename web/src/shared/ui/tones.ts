import type { Tone } from "./Page";

const SERVERS: Record<string, Tone> = {
  adding: "busy",
  failed: "bad",
  healthy: "good",
  suspect: "warn",
  unhealthy: "bad",
  dead: "bad",
  recovering: "busy",
  given_up: "off",
  removed: "off",
};
const SEVERITIES: Record<string, Tone> = { info: "off", warning: "warn", critical: "bad" };
const SERIALS: Record<string, Tone> = {
  unused: "busy",
  used: "good",
  expired: "off",
  revoked: "bad",
};
const APPLICATIONS: Record<string, Tone> = {
  pending: "busy",
  approved: "good",
  refused: "bad",
  withdrawn: "off",
};
const USERS: Record<string, Tone> = { active: "good", suspended: "bad" };
const JOBS: Record<string, Tone> = { queued: "busy", running: "busy", done: "good", failed: "bad" };
const MOVES: Record<string, Tone> = {
  waiting: "busy",
  preparing: "busy",
  switched: "good",
  done: "good",
  failed: "bad",
  cancelled: "off",
};
const UPGRADES: Record<string, Tone> = {
  running: "busy",
  paused: "warn",
  done: "good",
  aborted: "off",
};
const STAGES: Record<string, Tone> = {
  waiting: "off",
  running: "busy",
  watched: "busy",
  done: "good",
  failed: "bad",
  skipped: "off",
};
const MAILS: Record<string, Tone> = {
  queued: "busy",
  sending: "busy",
  sent: "good",
  refused: "bad",
};

export const serverTone = (status: string): Tone => SERVERS[status] ?? "plain";
export const severityTone = (severity: string): Tone => SEVERITIES[severity] ?? "plain";
export const serialTone = (status: string): Tone => SERIALS[status] ?? "plain";
export const applicationTone = (status: string): Tone => APPLICATIONS[status] ?? "plain";
export const userTone = (status: string): Tone => USERS[status] ?? "off";
export const jobTone = (status: string): Tone => JOBS[status] ?? "plain";
export const moveTone = (status: string): Tone => MOVES[status] ?? "plain";
export const upgradeTone = (status: string): Tone => UPGRADES[status] ?? "plain";
export const stageTone = (status: string): Tone => STAGES[status] ?? "plain";
export const mailTone = (status: string): Tone => MAILS[status] ?? "plain";

const ORDERS: Record<string, Tone> = {
  pending: "busy",
  paid: "busy",
  completed: "good",
  renewed: "good",
  cancelled: "off",
  refunded: "warn",
  expired: "off",
};
export const orderTone = (status: string): Tone => ORDERS[status] ?? "plain";
