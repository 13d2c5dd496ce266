export const HOURS = 24;

/** The last day's hours, oldest first, each with its value; hours that have no row are null. */
export function byHour<T>(
  rows: T[],
  of: (row: T) => [begin: string, value: number],
  now = Date.now(),
): (number | null)[] {
  const known = new Map(
    rows.map((row) => {
      const [begin, value] = of(row);
      return [Date.parse(begin), value];
    }),
  );
  const last = Math.floor(now / 3_600_000) * 3_600_000;
  return Array.from(
    { length: HOURS },
    (_, at) => known.get(last - (HOURS - 1 - at) * 3_600_000) ?? null,
  );
}
