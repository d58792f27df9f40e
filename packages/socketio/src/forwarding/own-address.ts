import type { Server as HttpServer } from "node:http";
import { networkInterfaces } from "node:os";

const ANY = new Set(["::", "0.0.0.0"]);

/**
 * Where other nodes reach this HTTP server: the address that it listens on, and where that is all of them, `POD_IP` or
 * the machine's first IPv4 address that is not its own loopback.
 *
 * @returns undefined while it does not listen, where it speaks TLS, or listens on a path
 */
export function ownAddress(http: HttpServer, podIp = process.env.POD_IP): string | undefined {
  const bound = http.address();
  if (bound === null || typeof bound === "string" || "setSecureContext" in http) return undefined;
  const host = ANY.has(bound.address) ? (podIp ?? firstAddress()) : bound.address;
  return `http://${host.includes(":") ? `[${host}]` : host}:${bound.port}`;
}

function firstAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}
