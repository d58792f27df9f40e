import type { Bench, Measurement, Run } from "../harness.ts";
import { findRow, type Row, type Target, target } from "../report.ts";
import type { RoutingCalls } from "./calls.ts";

const SUBJECT = "Holdfast";
const MODULE = new URL("./subject.ts", import.meta.url);

const TRANSLATE = "objects to model and endpoints";
const SYNC = "one changed Ingress of all";
const SLICE = "one changed EndpointSlice of all";
const FEW_RULES = 10;
const MANY_RULES = 10_000;

/** The first pass is over code that isn't compiled yet. */
const PASSES = 3;

/** How long it takes from Kubernetes objects to what the data plane serves, and to find a request's place in it. */
export const routing: Bench = {
  name: "routing",
  summary: "CPU time to translate a big cluster, to take over one change, and to look up a host and path",
  subjects: [SUBJECT],
  options: {
    ingresses: { summary: "Ingresses, and as many Services", default: 1_000, max: 20_000 },
    rules: { summary: "rules of each Ingress", default: 10, max: 1_000 },
    endpoints: { summary: "endpoints of all Services together", default: 10_000, max: 1_000_000 },
    changes: { summary: "changes measured, one by one", default: 200, max: 100_000 },
    lookups: { summary: "look-ups measured", default: 2_000_000, max: 1_000_000_000 },
  },
  measure,
  targets,
};

async function measure(_subject: string, run: Run): Promise<readonly Measurement[]> {
  const size = {
    ingresses: run.option("ingresses"),
    rules: run.option("rules"),
    endpoints: run.option("endpoints"),
  };
  const changes = run.option("changes");
  const lookups = run.option("lookups");
  // A process of its own for each figure, lest one's garbage be another's time.
  const first = await run.start<RoutingCalls>(MODULE, "server");
  const cold = await first.call("translate", size);
  let warm = cold;
  for (let pass = 1; pass < PASSES; pass += 1) warm = await first.call("translate", size);
  const second = await run.start<RoutingCalls>(MODULE, "server");
  const sync = await second.call("sync", { ...size, changes });
  const third = await run.start<RoutingCalls>(MODULE, "server");
  const slice = await third.call("slice", { ...size, changes });
  const fourth = await run.start<RoutingCalls>(MODULE, "server");
  const measurements: Measurement[] = [
    { metric: `${TRANSLATE}, first time`, unit: "ms", value: cold },
    { metric: `${TRANSLATE}, once warm`, unit: "ms", value: warm },
    { metric: SYNC, unit: "ms", value: sync },
    { metric: SLICE, unit: "µs", value: slice },
  ];
  for (const rules of [FEW_RULES, MANY_RULES]) {
    const value = await fourth.call("lookup", { rules, lookups });
    measurements.push({ metric: lookupMetric(rules), unit: "ns", value });
  }
  return measurements;
}

function lookupMetric(rules: number): string {
  return `look-up among ${rules} rules`;
}

function targets(rows: readonly Row[]): readonly Target[] {
  const median = (metric: string) => findRow(rows, SUBJECT, metric).median;
  const ratio = median(lookupMetric(MANY_RULES)) / median(lookupMetric(FEW_RULES));
  return [
    target(`${TRANSLATE}, first time`, median(`${TRANSLATE}, first time`), 1_000, "ms"),
    target(`look-up among ${MANY_RULES} rules to ${FEW_RULES}`, ratio, 1.5, "x"),
  ];
}
