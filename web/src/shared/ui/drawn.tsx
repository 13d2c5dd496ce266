/** Small drawings that need no chart library. */

/** How much of something is used, as a ring; the text in it is read out, the ring is not. */
export function Ring(props: { part: number; label: string; children: React.ReactNode }) {
  const part = Math.min(1, Math.max(0, props.part));
  const length = 2 * Math.PI * 52;
  const colour = part >= 1 ? "var(--bad)" : part >= 0.8 ? "var(--warn)" : "var(--primary)";
  return (
    <div style={{ position: "relative", width: 132, height: 132, flex: "none" }}>
      <svg width="132" height="132" viewBox="0 0 132 132" role="img" aria-label={props.label}>
        <circle cx="66" cy="66" r="52" fill="none" stroke="var(--fill)" strokeWidth="12" />
        <circle
          cx="66"
          cy="66"
          r="52"
          fill="none"
          stroke={colour}
          strokeWidth="12"
          strokeLinecap="round"
          strokeDasharray={`${part * length} ${length}`}
          transform="rotate(-90 66 66)"
        />
      </svg>
      <div
        aria-hidden="true"
        style={{
          position: "absolute",
          inset: 0,
          display: "grid",
          placeContent: "center",
          textAlign: "center",
        }}
      >
        {props.children}
      </div>
    </div>
  );
}

/** A line through values that were measured, the newest at the right; it breaks where one lacks. */
export function Sparkline({ values, label }: { values: (number | null)[]; label: string }) {
  const known = values.filter((one) => one !== null);
  const most = Math.max(1, ...known) * 1.15;
  const step = 100 / Math.max(1, values.length - 1);
  const place = (value: number, at: number) => `${at * step},${28 - (value / most) * 28}`;
  const runs: string[][] = [[]];
  values.forEach((value, at) => {
    if (value === null) runs.push([]);
    else runs[runs.length - 1]?.push(place(value, at));
  });
  return (
    <svg
      viewBox="-2 -2 104 32"
      preserveAspectRatio="none"
      width="100%"
      height="36"
      role="img"
      aria-label={label}
    >
      {runs
        .filter((run) => run.length > 0)
        .map((run) => (
          <polyline
            key={run[0]}
            points={run.length > 1 ? run.join(" ") : `${run[0]} ${run[0]}`}
            fill="none"
            stroke="var(--primary)"
            strokeWidth="2"
            strokeLinecap="round"
            strokeLinejoin="round"
            vectorEffect="non-scaling-stroke"
          />
        ))}
    </svg>
  );
}

/** A row of values as bars, the newest at the right. */
export function Bars({ values, label }: { values: number[]; label: string }) {
  const most = Math.max(1, ...values);
  const width = 100 / Math.max(1, values.length);
  return (
    <svg
      viewBox="0 0 100 28"
      preserveAspectRatio="none"
      width="100%"
      height="36"
      role="img"
      aria-label={label}
    >
      {values.map((value, at) => (
        <rect
          // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place
          key={at}
          x={at * width + width * 0.12}
          width={width * 0.76}
          y={28 - Math.max(0.6, (value / most) * 28)}
          height={Math.max(0.6, (value / most) * 28)}
          fill="var(--primary)"
          opacity={value ? 0.85 : 0.25}
        />
      ))}
    </svg>
  );
}
