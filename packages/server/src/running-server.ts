import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ServerError } from "./errors.ts";

/** A server that listens. */
export interface RunningServer {
  /** The address that it listens on, such as `0.0.0.0` or `127.0.0.5`. */
  readonly address: string;
  readonly port: number;
  /** Ends connections and lets go of the port, within about 2 seconds. Idempotent. */
  close(): Promise<void>;
}

/** A server whose `close` runs `end` once, however often it is called. */
export function runningServer(address: string, port: number, end: () => Promise<void>): RunningServer {
  let closing: Promise<void> | undefined;
  return {
    address,
    port,
    close() {
      closing ??= end();
      return closing;
    },
  };
}

/**
 * How long an idle connection is kept, in milliseconds. Google's load balancers keep theirs for 600 seconds, and a
 * server that closes first makes them answer 502 to a request that was just on its way.
 */
export const KEEP_ALIVE_MS = 620_000;

/** @throws ServerError `PORT_IN_USE`, `LISTEN_FAILED` */
export function listen(server: Server, port: number, host: string | undefined): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => reject(listenError(error, port, host));
    server.once("error", onError);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off("error", onError);
      resolve(server.address() as AddressInfo);
    });
  });
}

export function listenError(
  error: NodeJS.ErrnoException,
  port: number,
  host: string | undefined,
): ServerError {
  const where = `${host ?? "any address"}, port ${port}`;
  if (error.code === "EADDRINUSE") {
    return new ServerError("PORT_IN_USE", `${where}. Stop that program, or set PORT to another one`, error);
  }
  return new ServerError("LISTEN_FAILED", `${where}: ${error.message}. See HOST, POD_IP and PORT`, error);
}
