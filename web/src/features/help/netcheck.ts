/** Reads what `tailscale netcheck` prints, and says what it means for a customer's relays. */
import type { Tone } from "@/shared/ui/Page";

export interface Report {
  udp: boolean | null;
  nearest: string | null;
  captive: boolean;
  /** Latency in milliseconds by what stands before the colon: a region's code; null when none was measured. */
  latencies: { code: string; milliseconds: number | null; name: string }[];
}

export interface Verdict {
  tone: Tone;
  key: VerdictKey;
  params?: Record<string, string>;
}

export type VerdictKey =
  | "notNetcheck"
  | "udpOk"
  | "udpBlocked"
  | "regionsMissing"
  | "regionSilent"
  | "regionsOk"
  | "nearestMine"
  | "nearestOther"
  | "nearestUnknown"
  | "captive";

/** Returns what the text says, or null when it is none of netcheck's. */
export function read(text: string): Report | null {
  if (!/^\s*\*\s*(UDP|Nearest DERP|DERP latency):/m.test(text)) return null;
  const report: Report = { udp: null, nearest: null, captive: false, latencies: [] };
  for (const line of text.split(/\r?\n/)) {
    const udp = /^\s*\*\s*UDP:\s*(true|false)/.exec(line);
    if (udp) report.udp = udp[1] === "true";
    const nearest = /^\s*\*\s*Nearest DERP:\s*(.+?)\s*$/.exec(line);
    if (nearest?.[1] && !/^(unknown|\[none\]|none)/.test(nearest[1])) report.nearest = nearest[1];
    if (/^\s*\*\s*(?:CaptivePortal|Captive ?portal):\s*true/i.test(line)) report.captive = true;
    const region = /^\s*-\s*([\w-]+):\s*(?:([\d.]+)(ms|µs|us|s)\b)?\s*(?:\((.*)\))?\s*$/.exec(line);
    if (region?.[1]) {
      report.latencies.push({
        code: region[1],
        milliseconds: region[2] === undefined ? null : scaled(Number(region[2]), region[3]),
        name: region[4] ?? "",
      });
    }
  }
  return report;
}

function scaled(value: number, unit: string | undefined): number {
  if (unit === "s") return value * 1000;
  return unit === "ms" ? value : value / 1000;
}

/** The region's code and name as our ACL writes them, to know them again in a report. */
export interface MyRegion {
  id: number;
  code: string;
  name: string;
}

/** Says what works and what does not, the gravest first. */
export function judge(report: Report | null, mine: MyRegion[]): Verdict[] {
  if (!report) return [{ tone: "bad", key: "notNetcheck" }];
  const verdicts: Verdict[] = [];
  const found = mine.map((region) => ({
    region,
    seen: report.latencies.find((one) => one.code === region.code || one.name === region.name),
  }));
  const ids = (list: typeof found) => list.map((one) => String(one.region.id)).join(", ");
  if (report.captive) verdicts.push({ tone: "bad", key: "captive" });
  const missing = found.filter((one) => !one.seen);
  if (mine.length > 0 && missing.length > 0) {
    verdicts.push({ tone: "bad", key: "regionsMissing", params: { regions: ids(missing) } });
  }
  const silent = found.filter((one) => one.seen && one.seen.milliseconds === null);
  if (silent.length > 0) {
    verdicts.push({ tone: "warn", key: "regionSilent", params: { regions: ids(silent) } });
  }
  if (report.udp === false) verdicts.push({ tone: "warn", key: "udpBlocked" });
  if (report.nearest === null) {
    verdicts.push({ tone: "bad", key: "nearestUnknown" });
  } else if (mine.some((one) => one.name === report.nearest || one.code === report.nearest)) {
    verdicts.push({ tone: "good", key: "nearestMine", params: { region: report.nearest } });
  } else {
    verdicts.push({ tone: "warn", key: "nearestOther", params: { region: report.nearest } });
  }
  const measured = found.filter((one) => one.seen?.milliseconds != null);
  if (measured.length > 0) {
    const list = measured.map(
      (one) => `${one.region.id}: ${one.seen?.milliseconds?.toFixed(1)} ms`,
    );
    verdicts.push({ tone: "good", key: "regionsOk", params: { list: list.join(", ") } });
  }
  if (report.udp) verdicts.push({ tone: "good", key: "udpOk" });
  return verdicts;
}
