import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Random, seededRandom } from "@holdfast/broker/testing";
import { connect, type HoldfastClient } from "@holdfast/client";
import { History } from "./history.ts";
import { LabProcess } from "./lab-process.ts";

export interface SurvivalOptions {
  readonly seed: number;
  readonly clients: number;
  readonly channels: number;
  readonly messages: number;
  /** How a socket server's process is ended: `SIGKILL` is a crash, `SIGTERM` what Kubernetes sends first. */
  readonly signal: "SIGKILL" | "SIGTERM";
  /**
   * `cookie`: what the example's manifests ask for. `none`: the ingress gives each request to the next server, and the
   * clients keep no cookies, so most requests of a polling session come to a server that doesn't have it. Default `cookie`.
   */
  readonly affinity?: Affinity;
}

export type Affinity = "cookie" | "none";

export interface SurvivalReport {
  readonly seed: number;
  readonly published: number;
  readonly delivered: number;
  /** Socket servers ended while messages were being published. */
  readonly kills: number;
  /** Times that a client came back and went on from its cursor. */
  readonly resumes: number;
  /** Entries that those resumes brought. */
  readonly recovered: number;
  /** Times that a client was told that it couldn't go on from its cursor. */
  readonly refused: number;
  readonly violations: readonly string[];
}

/**
 * The promise of the product as one run: clients on two socket servers behind the ingress, messages published through
 * the API, and one socket server after the other ended meanwhile. Reports what the history checker found;
 * rejects when the messages don't arrive at all.
 */
export async function survival(options: SurvivalOptions): Promise<SurvivalReport> {
  const { affinity = "cookie" } = options;
  const random = seededRandom(options.seed);
  await using lab = await startLab(affinity);
  const history = new History();
  const counts = { resumes: 0, recovered: 0, refused: 0 };
  const channels = Array.from({ length: options.channels }, (_, index) => `room-${index + 1}`);
  const publisher = connect(lab.url, { api: `${lab.url}/api`, socket: { autoConnect: false } });
  const clients: HoldfastClient[] = [];
  try {
    await Promise.all(
      Array.from({ length: options.clients }, async (_, index) => {
        const transports = TRANSPORTS[affinity][index % TRANSPORTS[affinity].length] ?? [];
        // With it clients keep the balancer's cookie, as a browser does.
        const withCredentials = affinity === "cookie";
        const client = connect(lab.url, {
          socket: { transports, withCredentials, reconnectionDelayMax: 1000 },
        });
        clients.push(client);
        const mine = channels.filter((_, at) => at === index % channels.length || random.next() < 0.5);
        await Promise.all(mine.map((name) => follow(client, `client-${index + 1}`, name, history, counts)));
      }),
    );

    const progress = { published: 0, done: false };
    const publishing = publishAll(publisher, channels, options.messages, random, history, progress).finally(
      () => {
        progress.done = true;
      },
    );
    const [kills] = await Promise.all([killInTurn(lab, progress, options), publishing]);
    await until(() => history.complete(), 60_000);

    // An entry that came twice would have come before this one: each channel is delivered in order.
    for (const channel of channels) await publish(publisher, channel, `${channel}-last`, history);
    await until(() => history.complete(), 30_000);
    return {
      seed: options.seed,
      published: history.acceptedCount(),
      delivered: history.deliveredCount(),
      kills,
      ...counts,
      violations: history.violations(),
    };
  } catch (error) {
    const details = [`seed ${options.seed}`, ...history.violations().slice(0, 20), lab.output.slice(-20_000)];
    throw new Error(`${(error as Error).message}\n${details.join("\n")}`, { cause: error });
  } finally {
    for (const client of [publisher, ...clients]) client.close();
  }
}

/** Every other client polls. */
const TRANSPORTS: Readonly<Record<Affinity, readonly ("polling" | "websocket")[][]>> = {
  cookie: [["polling"], ["websocket"]],
  none: [["polling"], ["websocket"], ["polling"], ["polling", "websocket"]],
};

async function startLab(affinity: Affinity): Promise<LabProcess> {
  const folder = "examples/chat";
  if (affinity === "cookie") return LabProcess.start([folder]);
  const manifest = readFileSync(join(import.meta.dirname, "..", folder, "chat.yaml"), "utf8");
  const without = manifest
    .replace(/affinityType: GENERATED_COOKIE\n.*affinityCookieTtlSec.*\n/, "affinityType: NONE\n")
    // Relative to the manifest, which standard input has no folder of.
    .replace("value: page\n", `value: ${folder}/page\n`);
  const others = ["api.yaml", "broker.yaml", "ingress.yaml"].map((name) => join(folder, name));
  return LabProcess.start([...others, "-"], without);
}

/** Resolves once the client is subscribed for the first time. */
async function follow(
  client: HoldfastClient,
  subscriber: string,
  name: string,
  history: History,
  counts: { resumes: number; recovered: number; refused: number },
): Promise<void> {
  const channel = client.channel(name);
  history.subscribed(subscriber, name);
  channel.on("message", ({ offset, data }) => {
    history.delivered(subscriber, name, { offset, id: (data as { id: string }).id });
  });
  let first = true;
  channel.on("subscribed", ({ recovered, missed }) => {
    if (recovered) {
      counts.resumes += 1;
      counts.recovered += missed;
    } else if (!first) {
      counts.refused += 1;
    }
    first = false;
  });
  await channel.subscribe();
}

async function publishAll(
  publisher: HoldfastClient,
  channels: readonly string[],
  messages: number,
  random: Random,
  history: History,
  progress: { published: number },
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < messages) {
      next += 1;
      await publish(publisher, random.pick(channels), `message-${next}`, history);
      progress.published += 1;
      // A pace at which the kills fall between messages, at moments that the seed chooses.
      await new Promise((resolve) => setTimeout(resolve, 5 + random.below(40)));
    }
  };
  await Promise.all([worker(), worker(), worker()]);
}

async function publish(
  publisher: HoldfastClient,
  channel: string,
  id: string,
  history: History,
): Promise<void> {
  const { offset } = await publisher.publish(channel, "message", { id });
  history.accepted(channel, offset, id);
}

/** Kills one socket server after the other, each once the one before serves again, until all is published. */
async function killInTurn(
  lab: LabProcess,
  progress: { published: number; done: boolean },
  { messages, signal }: SurvivalOptions,
): Promise<number> {
  const victims = lab.pods("chat").map((pod) => pod.name);
  const every = Math.max(1, Math.floor(messages / 8));
  let kills = 0;
  for (let turn = 0; !progress.done; turn += 1) {
    const due = (turn + 0.5) * every;
    await until(() => progress.done || progress.published >= due, 120_000);
    if (progress.done) break;
    const victim = victims[turn % victims.length];
    if (victim === undefined) throw new Error("the chat has no pods");
    await lab.kill(victim, signal);
    kills += 1;
    await lab.untilReady(victim);
  }
  return kills;
}

async function until(condition: () => boolean, limitMs: number): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${limitMs} ms in vain`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
