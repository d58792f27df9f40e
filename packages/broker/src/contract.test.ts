import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Abilities } from "./abilities.ts";
import { connectBroker } from "./connect.ts";
import { type BrokerPair, brokerContract } from "./contract.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { BrokerError } from "./errors.ts";
import type { Broker } from "./port.ts";
import { serveBroker } from "./serve.ts";

const inFile: Abilities = {
  durable: true,
  atomicBatch: true,
  oneSequence: true,
  retention: true,
  volatile: true,
  backwards: true,
  leases: true,
};
const inMemory = {
  ...inFile,
  durable: "It keeps its logs in the memory of its process; name a file to keep them.",
};
const served = {
  ...inFile,
  durable: "Whether the server keeps its logs in a file is not known on this side.",
};
const WHY = "This engine lacks it to prove the suite.";
const lacking: Abilities = {
  durable: WHY,
  atomicBatch: WHY,
  oneSequence: WHY,
  retention: WHY,
  volatile: WHY,
  backwards: WHY,
  leases: WHY,
};

const limits = { maxEntryBytes: 1024 * 1024 };

async function makeInMemory(): Promise<BrokerPair> {
  const broker = openEmbeddedBroker();
  return { a: broker, b: broker, [Symbol.asyncDispose]: () => broker.close() };
}

async function makeInFile(): Promise<BrokerPair> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-broker-"));
  const broker = openEmbeddedBroker({ path: join(folder, "log.db") });
  const dispose = async () => {
    await broker.close();
    await rm(folder, { recursive: true });
  };
  return { a: broker, b: broker, [Symbol.asyncDispose]: dispose };
}

async function makeServed(): Promise<BrokerPair> {
  const broker = openEmbeddedBroker();
  const served = await serveBroker(broker);
  const [a, b] = [connectBroker(served.url), connectBroker(served.url)];
  const dispose = async () => {
    for (const part of [a, b, served, broker]) await part.close();
  };
  return { a, b, [Symbol.asyncDispose]: dispose };
}

/** An engine that lacks whatever may be lacking, to prove the suite itself. */
async function makeLacking(): Promise<BrokerPair> {
  const broker = openEmbeddedBroker();
  const refuse = (reason: string) => Promise.reject(new BrokerError("ABILITY_MISSING", reason));
  const missing = () => refuse(WHY);
  const poor: Broker = {
    abilities: lacking,
    leases: {
      renew: missing,
      put: missing,
      remove: missing,
      release: missing,
      list: missing,
      follow: missing,
    },
    publish: (channel, data, options) =>
      options?.retention ? missing() : broker.publish(channel, data, options),
    publishAll: (publications) => broker.publishAll(publications),
    notify: missing,
    subscribe: (...args) => broker.subscribe(...args),
    history: (channel, query) => (query.backwards ? missing() : broker.history(channel, query)),
    watch: (listener) => broker.watch(listener),
    close: () => broker.close(),
  };
  return { a: poor, b: poor, [Symbol.asyncDispose]: () => broker.close() };
}

brokerContract({ name: "The embedded broker in memory", make: makeInMemory, abilities: inMemory, limits });
brokerContract({ name: "The embedded broker in a file", make: makeInFile, abilities: inFile, limits });
brokerContract({ name: "The served broker", make: makeServed, abilities: served, limits });
brokerContract({ name: "An engine with the least abilities", make: makeLacking, abilities: lacking, limits });
