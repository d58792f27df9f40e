import { AggregatorRegistry } from "prom-client";

/** One metric with all its series at a moment, in the form that `prom-client` gives and merges. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** How the series of several processes become one. */
  readonly aggregator: "sum" | "min";
  readonly values: readonly MetricValue[];
}

export interface MetricValue {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** The parts of a histogram: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
}

export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** What several processes counted, as one text in Prometheus' format. */
export function metricsText(snapshots: readonly (readonly object[])[]): Promise<string> {
  return AggregatorRegistry.aggregate(snapshots as object[]).metrics();
}

/**
 * What ended processes counted, as one snapshot: its counters and histograms alone, for a gauge ends with its process.
 * Without it the totals would fall each time a worker ends, which reads as a restart of everything.
 */
export async function totalsOf(snapshots: readonly (readonly object[])[]): Promise<readonly object[]> {
  const counting = snapshots.map((families) =>
    (families as readonly { readonly type: string }[]).filter(
      ({ type }) => type === "counter" || type === "histogram",
    ),
  );
  return AggregatorRegistry.aggregate(counting as object[]).getMetricsAsJSON();
}
