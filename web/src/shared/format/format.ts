/** Times are shown where the business is; sizes and speeds in decimal units, as plans are sold. */
const ZONE = "Asia/Shanghai";
const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = language + JSON.stringify(options);
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(language, { timeZone: ZONE, ...options });
    formats.set(key, format);
  }
  return format;
}

/** Day and time to the minute, or a dash. */
export function moment(instant: string | null | undefined, language: string): string {
  if (!instant) return "—";
  return formatOf(language, {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(new Date(instant));
}

/** The day alone, or a dash. */
export function day(instant: string | null | undefined, language: string): string {
  if (!instant) return "—";
  return formatOf(language, { year: "numeric", month: "short", day: "numeric" }).format(
    new Date(instant),
  );
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 days ago", "in 5 minutes"; less than a minute is "now". */
export function relative(
  instant: string | null | undefined,
  language: string,
  now: number = Date.now(),
): string {
  if (!instant) return "—";
  const seconds = (new Date(instant).getTime() - now) / 1000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, "second");
}

function scaled(value: number, units: readonly string[]): string {
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(size) >= 100 ? 0 : Math.abs(size) >= 10 ? 1 : 2;
  return `${size.toFixed(digits)} ${units[unit]}`;
}

/** A size, such as `12.4 GB`. */
export function bytes(count: number | null | undefined): string {
  return count == null ? "—" : scaled(count, SIZES);
}

/** A speed of so many bytes a second, in bits as providers say it: `8.00 Mbit/s`. */
export function rate(bytesPerSecond: number | null | undefined): string {
  if (bytesPerSecond == null) return "—";
  return scaled(bytesPerSecond * 8, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
}

/** Money: `¥39.00`. */
export function yuan(fen: number | null | undefined): string {
  if (fen == null) return "—";
  const sign = fen < 0 ? "-" : "";
  const [whole = "", part] = (Math.abs(fen) / 100).toFixed(2).split(".");
  return `${sign}¥${whole.replace(/\B(?=(\d{3})+$)/g, ",")}.${part}`;
}

/** Whole days until an instant, never below zero. */
export function daysUntil(instant: string, now: number = Date.now()): number {
  return Math.max(0, Math.ceil((new Date(instant).getTime() - now) / 86_400_000));
}

/** A node key short enough for a table, as Tailscale shows it: `[Abc12]` has no prefix to lose. */
export function shortKey(key: string): string {
  const digits = key.replace(/^nodekey:/, "");
  return digits.length <= 12 ? digits : `${digits.slice(0, 6)}…${digits.slice(-4)}`;
}

/** Minutes and seconds of a countdown: `9:05`. */
export function countdown(until: string, now: number = Date.now()): string {
  const seconds = Math.max(0, Math.round((new Date(until).getTime() - now) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
