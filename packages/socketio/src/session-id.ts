import { createHash, randomBytes } from "node:crypto";

/** 120 bits, as 20 characters: as many characters as Engine.IO's own ids have. */
const RANDOM_BYTES = 15;

/**
 * The name of a node within a session id: the first 8 bytes of the SHA-256 of its pod's name (UTF-8), in base64url: 11
 * characters. Written down in docs/affinity.md, and the same in `@holdfast/ingress`, which finds the pod by it.
 */
export function nodeToken(pod: string): string {
  return createHash("sha256").update(pod, "utf8").digest().toString("base64url", 0, 8);
}

/**
 * Makes Engine.IO session ids that name their node, `<node token>.<random>`: an ingress with session affinity then
 * brings every request of a session back to its server, without a cookie and without a memory of its own.
 *
 * @example io.engine.generateId = ownedSessionIds(process.env.HOSTNAME);
 * @param pod the pod's name, as Kubernetes knows it
 */
export function ownedSessionIds(pod: string): () => string {
  const token = nodeToken(pod);
  return () => `${token}.${randomBytes(RANDOM_BYTES).toString("base64url")}`;
}
