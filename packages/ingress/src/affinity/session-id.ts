import { createHash } from "node:crypto";

/**
 * The name of a node within a session id: the first 8 bytes of the SHA-256 of the pod's name (UTF-8), in base64url: 11
 * characters. Written down in docs/affinity.md, and the same in `@holdfast/socketio`: servers put it into
 * their session ids, and the ingress finds their endpoint by it.
 */
export function nodeToken(pod: string): string {
  return createHash("sha256").update(pod, "utf8").digest().toString("base64url", 0, 8);
}

/** The node's token in a session id of the form `<node token>.<at least 20 characters>`; undefined in any other. */
export function tokenOfSessionId(sid: string): string | undefined {
  return sid.length >= 32 && sid[11] === "." ? sid.slice(0, 11) : undefined;
}
