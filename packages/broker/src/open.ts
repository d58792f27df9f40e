import { fileURLToPath } from "node:url";
import { connectBroker } from "./connect.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { BrokerError } from "./errors.ts";
import type { Broker } from "./port.ts";

/**
 * The broker that a URL names: `memory:` (this process only), `file:PATH` (kept in a file, held by this process) or
 * `holdfast://TOKEN@HOST:PORT` (served by another process).
 *
 * @throws BrokerError `BROKER_URL_INVALID`, `STORE_IN_USE`, `STORE_UNUSABLE`
 */
export function openBroker(url: string): Broker {
  if (url === "memory:") return openEmbeddedBroker();
  if (url.startsWith("holdfast:")) return connectBroker(url);
  if (url.startsWith("file:")) return openEmbeddedBroker({ path: pathOf(url) });
  const scheme = /^([a-z][a-z0-9+.-]{0,20}):/i.exec(url)?.[1];
  throw new BrokerError("BROKER_URL_INVALID", scheme ? `${scheme}: is none of these.` : undefined);
}

/** `file:PATH` with the path as it stands, or a whole file URL, `file:///…`. */
function pathOf(url: string): string {
  const path = url.slice("file:".length);
  if (path === "" || path.includes("\0")) throw new BrokerError("BROKER_URL_INVALID", "file: needs a path.");
  if (!path.startsWith("//")) return path;
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new BrokerError("BROKER_URL_INVALID", "A file URL is file:///PATH.", { cause });
  }
}
