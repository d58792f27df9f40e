import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectBroker } from "./connect.ts";
import { type BrokerPair, brokerContract } from "./contract.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { serveBroker } from "./serve.ts";

const capabilities = { maxEntryBytes: 1024 * 1024, retentionByAge: true };

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

brokerContract({ name: "The embedded broker in memory", make: makeInMemory, capabilities });
brokerContract({ name: "The embedded broker in a file", make: makeInFile, capabilities });
brokerContract({ name: "The served broker", make: makeServed, capabilities });
