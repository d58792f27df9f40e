import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IN_FILE } from "../test/abilities.ts";
import { brokerContract } from "./contract.ts";
import { openEmbeddedBroker } from "./embedded.ts";

brokerContract({
  name: "The embedded broker in a file",
  abilities: IN_FILE,
  limits: { maxEntryBytes: 1024 * 1024 },
  make: async () => {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-broker-"));
    const broker = openEmbeddedBroker({ path: join(folder, "log.db") });
    const dispose = async () => {
      await broker.close();
      await rm(folder, { recursive: true });
    };
    return { a: broker, b: broker, [Symbol.asyncDispose]: dispose };
  },
});
