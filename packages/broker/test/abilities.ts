import type { Abilities } from "../src/abilities.ts";

export const IN_FILE: Abilities = {
  durable: true,
  atomicBatch: true,
  oneSequence: true,
  retention: true,
  volatile: true,
  backwards: true,
  leases: true,
};

export const IN_MEMORY: Abilities = {
  ...IN_FILE,
  durable: "It keeps its logs in the memory of its process; name a file to keep them.",
};

export const SERVED: Abilities = {
  ...IN_FILE,
  durable: "Whether the server keeps its logs in a file is not known on this side.",
};

/** Those of an engine that lacks whatever may be lacking. */
export const LEAST: Abilities = Object.fromEntries(
  Object.keys(IN_FILE).map((name) => [name, `This engine lacks ${name} to prove the suite.`]),
) as unknown as Abilities;
