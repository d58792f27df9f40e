import { answerHarness } from "../child.ts";
import type { Dialect, LoadCalls } from "./calls.ts";
import { Client } from "./client.ts";
import { exchangeUntil } from "./closed-loop.ts";

/** So that the proxy's accept queue never overflows. */
const OPENED_AT_ONCE = 50;

/** Connections that are opened and closed at a time. */
const CHURNED_AT_ONCE = 32;
const CHURNED_WEB_SOCKETS = 4;

/** Clients come from as many addresses of the loopback net as it takes for none to run out of ports. */
const SOURCES = 200;
const FIRST_SOURCE = 20;

let opened: Client[] = [];
const held: Client[] = [];
const failure = Promise.withResolvers<never>();
failure.promise.catch(() => {});

answerHarness<LoadCalls>({
  open: async ({ port, dialect, connections }) => {
    opened = await openClients(connections, () => ({ port, dialect, onFailure }));
  },

  exchange: (until) => {
    const end = "count" in until ? 0 : performance.now() + until.milliseconds;
    const isOver =
      "count" in until
        ? (count: number) => count >= until.count
        : (_count: number, now: number) => now >= end;
    return Promise.race([exchangeUntil(opened, isOver), failure.promise]);
  },

  close: async () => {
    await Promise.all(opened.splice(0).map((client) => client.close()));
  },

  churn: async ({ port, connections }) => {
    await inParallel(connections, CHURNED_AT_ONCE, async (index) => {
      const dialect: Dialect = index % CHURNED_WEB_SOCKETS === 0 ? "webSocket" : "http";
      const client = await Client.open({ port, dialect, source: sourceOf(index), onFailure });
      await exchangeOnce(client);
      await client.close();
    });
  },

  hold: async ({ port, connections }) => {
    const clients = await openClients(connections, (index) => ({
      port,
      dialect: "webSocket",
      source: sourceOf(index),
      onFailure,
    }));
    held.push(...clients);
    await prove(clients);
  },

  proveHeld: () => prove(held),
});

async function openClients(
  count: number,
  optionsOf: (index: number) => Parameters<typeof Client.open>[0],
): Promise<Client[]> {
  const clients: Client[] = [];
  await inParallel(count, OPENED_AT_ONCE, async (index) => {
    clients.push(await Client.open(optionsOf(index)));
  });
  return clients;
}

async function prove(clients: readonly Client[]): Promise<undefined> {
  await inParallel(clients.length, OPENED_AT_ONCE, async (index) => {
    const client = clients[index];
    if (client) await exchangeOnce(client);
  });
}

function exchangeOnce(client: Client): Promise<void> {
  return Promise.race([new Promise<void>((resolve) => client.exchange(resolve)), failure.promise]);
}

/** Does the work for each index below `count`, so many at a time. */
async function inParallel(
  count: number,
  atOnce: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}

function sourceOf(index: number): string {
  return `127.0.0.${FIRST_SOURCE + (index % SOURCES)}`;
}

function onFailure(error: Error): void {
  failure.reject(error);
}
