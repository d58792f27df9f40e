// npm run faults -- [--seeds N | --minutes N] [--seed FIRST] [--signal SIGKILL|SIGTERM] [--affinity cookie|none] [--json]
// Runs the survival scenario with one seed after the other, and stops at the first that breaks a promise.
//
// npm run faults -- broker [--seeds N | --minutes N] [--seed FIRST] [--json]
// Breaks the served broker and its connections, likewise.
//
// npm run faults -- redis [--seeds N | --minutes N] [--seed FIRST] [--json]
// The same with Redis, and the connections to it.
//
// npm run faults -- redis-failover [--seeds N | --minutes N] [--seed FIRST] [--json]
// Loses the primary under Redis Sentinel again and again, with entries that no replica has: what is lost has to be told.
//
// npm run faults -- nats|nats-cluster [--seeds N | --minutes N] [--seed FIRST] [--json]
// Breaks one NATS server, or three, and the nodes' connections, likewise.
//
// npm run faults -- differential [--broker embedded|redis|redis-cluster|nats|nats-partitioned] [--seeds N | --minutes N] [--seed FIRST] [--json]
// Compares Holdfast's servers with stock Socket.IO on one: what every client and server sees of the same program.
//
// npm run faults -- wire [--inputs N] [--seed FIRST] [--json]
// Puts damaged HTTP through the ingress' codec and has Node's parser read what it passes on.
import { parseArgs } from "node:util";
import { brokerFaults } from "./broker.ts";
import { RedisHost, ServedHost } from "./broker-host.ts";
import { differential } from "./differential/differential.ts";
import { ENGINES, type EngineName, serversOn } from "./differential/holdfast-fleet.ts";
import { natsClusterFaults, natsFaults } from "./nats.ts";
import { redisFailover } from "./redis-failover.ts";
import { survival } from "./survival.ts";
import { wire } from "./wire.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    inputs: { type: "string" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    seed: { type: "string" },
    signal: { type: "string", default: "SIGKILL" },
    affinity: { type: "string", default: "cookie" },
    broker: { type: "string", default: "embedded" },
    json: { type: "boolean", default: false },
  },
});

function whole(name: "seeds" | "minutes" | "seed" | "inputs", fallback: number): number {
  const text = values[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`--${name} takes a whole number above 0, not "${text}".`);
  process.exit(2);
}

const [scenario = "survival", ...others] = positionals;
const scenarios = [
  "survival",
  "broker",
  "redis",
  "redis-failover",
  "nats",
  "nats-cluster",
  "differential",
  "wire",
];
if (others.length > 0 || !scenarios.includes(scenario)) {
  console.error(`The scenarios are ${scenarios.join(", ")}, not "${positionals.join(" ")}".`);
  process.exit(2);
}
if (scenario === "wire") {
  process.exit(
    wire(whole("seed", (Date.now() % 1_000_000) + 1), whole("inputs", 1_000_000), values.json) ? 0 : 1,
  );
}

const { signal } = values;
if (signal !== "SIGKILL" && signal !== "SIGTERM") {
  console.error(`--signal takes SIGKILL or SIGTERM, not "${signal}".`);
  process.exit(2);
}
const ending = signal;
if (values.affinity !== "cookie" && values.affinity !== "none") {
  console.error(`--affinity takes cookie or none, not "${values.affinity}".`);
  process.exit(2);
}
const affinity = values.affinity;
if (!Object.hasOwn(ENGINES, values.broker)) {
  console.error(`--broker takes ${Object.keys(ENGINES).join(", ")}, not "${values.broker}".`);
  process.exit(2);
}
const engine = values.broker as EngineName;
const first = whole("seed", (Date.now() % 1_000_000) + 1);
const seeds = whole("seeds", values.minutes === undefined ? 10 : Number.MAX_SAFE_INTEGER);
const deadline = Date.now() + whole("minutes", 24 * 60) * 60_000;

/** What else is run than the breaking of a broker. */
type Act = typeof endServers | typeof losePrimaries | typeof compareServers;
const ACTS: ReadonlyMap<string, Act> = new Map<string, Act>([
  ["survival", endServers],
  ["redis-failover", losePrimaries],
  ["differential", compareServers],
]);

for (let index = 0; index < seeds && Date.now() < deadline; index += 1) {
  const started = Date.now();
  const act = ACTS.get(scenario) ?? breakBroker;
  const { report, text, replay, gaps } = await act(first + index).catch((error: unknown) => {
    throw new Error(`The run of seed ${first + index} broke off.`, { cause: error });
  });
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  const { seed, violations } = report;
  console.log(
    values.json
      ? JSON.stringify(report)
      : `seed ${seed}: ${text}, ${violations.length} violations, ${seconds} s`,
  );
  if (violations.length > 0 || gaps > 0) {
    console.error(violations.join("\n"));
    console.error(`Replay with: npm run faults -- ${replay} --seed ${seed} --seeds 1`);
    process.exit(1);
  }
}

async function endServers(seed: number) {
  const report = await survival({ seed, clients: 20, channels: 3, messages: 1000, signal: ending, affinity });
  const text =
    `${report.published} published, ${report.delivered} delivered, ${report.kills} kills, ` +
    `${report.resumes} resumes with ${report.recovered} missed entries, ${report.refused} refused`;
  return { report, text, replay: `--signal ${ending} --affinity ${affinity}`, gaps: report.refused };
}

/** Here gaps are what is to be told. */
async function losePrimaries(seed: number) {
  const report = await redisFailover({ seed, nodes: 3, channels: 3, faults: 8 });
  const text =
    `${report.accepted} accepted, ${report.lost} lost, ${report.unseen} more unseen, ${report.delivered} delivered, ${count(report.faults)}, ` +
    `${report.repeated} repeated, ${report.resumes} resumes, ${report.resets} resets`;
  return { report, text, replay: scenario, gaps: 0 };
}

async function compareServers(seed: number) {
  const report = await differential({ seed, ...serversOn(engine) });
  const text =
    `${report.steps} steps, ${report.seen} things seen, ${report.recovered} recovered` +
    (report.recovery ? "" : " (no recovery)");
  return { report, text, replay: `${scenario} --broker ${engine}`, gaps: 0 };
}

async function breakBroker(seed: number) {
  const options = { seed, nodes: 3, channels: 4, messages: 1000, faults: 12 };
  const report = await (scenario === "nats"
    ? natsFaults(options)
    : scenario === "nats-cluster"
      ? natsClusterFaults(options)
      : brokerFaults({ start: scenario === "redis" ? RedisHost.start : ServedHost.start, ...options }));
  const text =
    `${report.published} published, ${report.delivered} delivered, ${count(report.faults)}, ` +
    `${report.repeated} repeated, ${report.resumes} resumes, ${report.resets} resets`;
  return { report, text, replay: scenario, gaps: report.resets };
}

function count(faults: Readonly<Record<string, number>>): string {
  return Object.entries(faults)
    .map(([name, times]) => `${times} ${name}`)
    .join(", ");
}
