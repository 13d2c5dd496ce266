import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { type EChartsCoreOption, init, use as register } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";
import { useAppearance } from "./theme";

register([BarChart, LineChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

export interface Series {
  name: string;
  /** One for each time; null where nothing is known. */
  values: (number | null)[];
}

/** Bars or lines over time. The figures stand in a table beside it for whoever cannot see it. */
export default function Chart(props: {
  times: string[];
  series: Series[];
  format: (value: number) => string;
  label: string;
  lines?: boolean;
}) {
  const place = useRef<HTMLDivElement>(null);
  const { appearance } = useAppearance();
  const { times, series, format, lines = false } = props;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read where it is drawn
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const chart = init(element);
    chart.setOption(optionOf(times, series, format, lines));
    const watch = new ResizeObserver(() => chart.resize());
    watch.observe(element);
    return () => {
      watch.disconnect();
      chart.dispose();
    };
  }, [times, series, format, lines, appearance]);
  return (
    <div ref={place} role="img" aria-label={props.label} style={{ width: "100%", height: 300 }} />
  );
}

/** So few points are drawn as such: a line needs two. */
const FEW = 30;
const COLOURS = ["--primary", "--warn"];

function optionOf(
  times: string[],
  series: Series[],
  format: (value: number) => string,
  lines: boolean,
): EChartsCoreOption {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  return {
    animation: !window.matchMedia("(prefers-reduced-motion: reduce)").matches,
    color: COLOURS.map(colour),
    textStyle: { color: colour("--muted"), fontFamily: style.getPropertyValue("--font") },
    grid: { left: 8, right: 8, top: series.length > 1 ? 36 : 16, bottom: 4, containLabel: true },
    // The content security policy lets no style into HTML, so the tooltip is drawn.
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      valueFormatter: (value: unknown) => format(Number(value)),
    },
    ...(series.length > 1 ? { legend: { top: 0, textStyle: { color: colour("--text") } } } : {}),
    xAxis: {
      type: "category",
      data: times,
      axisLine: { lineStyle: { color: colour("--line") } },
      axisTick: { show: false },
      axisLabel: { color: colour("--muted"), hideOverlap: true },
    },
    yAxis: {
      type: "value",
      axisLabel: { color: colour("--muted"), formatter: format },
      splitLine: { lineStyle: { color: colour("--line") } },
    },
    series: series.map((one) => ({
      type: lines ? "line" : "bar",
      name: one.name,
      data: one.values,
      ...(lines
        ? { showSymbol: times.length < FEW, lineStyle: { width: 2 } }
        : { barMaxWidth: 28, itemStyle: { borderRadius: [3, 3, 0, 0] } }),
    })),
  };
}
