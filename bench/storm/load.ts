import { setTimeout as pause } from "node:timers/promises";
import { answerHarness } from "../child.ts";
import type { LoadCalls } from "./calls.ts";
import { Client, type ClientHost } from "./client.ts";

const AT_ONCE = 64;
const SOURCES = 200;
const FIRST_SOURCE = 20;
const POLL_MS = 10;

const clients: Client[] = [];
const times: number[] = [];
let others: readonly number[] = [];
let turn = 0;
let newest = -1;
let killedAt = 0;
let failure: Error | undefined;

const host: ClientHost = {
  next: () => others[turn++ % others.length] ?? 0,
  newest: () => newest,
  received: (_client, number) => {
    newest = Math.max(newest, number);
  },
  caughtUp: () => {
    times.push(performance.now() - killedAt);
  },
  failed: (error) => {
    failure ??= error;
  },
};

async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (failure) throw failure;
    if (performance.now() > deadline) return false;
    await pause(POLL_MS);
  }
  return true;
}

answerHarness<LoadCalls>({
  connect: async ({ port, others: ports, clients: count }) => {
    others = ports;
    let left = count;
    const worker = async () => {
      while (left-- > 0) {
        const client = new Client(`127.0.0.${FIRST_SOURCE + (left % SOURCES)}`, host);
        clients.push(client);
        await client.open(port);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  },
  begun: async () => {
    const begun = await until(() => clients.every(({ next }) => next > 0), 30_000);
    if (!begun) throw new Error("not every client had a message");
  },
  killed: () => {
    times.length = 0;
    killedAt = performance.now();
    return undefined;
  },
  back: async ({ timeoutMs }) => {
    await until(() => times.length >= clients.length, timeoutMs);
    const at = (part: number) => times[Math.ceil(clients.length * part) - 1];
    return { half: at(0.5), most: at(0.95), all: at(1) };
  },
  settled: async ({ messages, timeoutMs }) => {
    await until(() => clients.every(({ next }) => next >= messages), timeoutMs);
    const sum = (of: (client: Client) => number) => clients.reduce((total, client) => total + of(client), 0);
    return {
      lost: sum(({ lost, next }) => lost + Math.max(0, messages - next)),
      doubled: sum(({ doubled }) => doubled),
      recovered: clients.filter(({ recovered }) => recovered).length,
    };
  },
});
