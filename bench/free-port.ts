import { createServer } from "node:net";

/** Below the ports that Linux gives to outgoing connections, so that none of those takes it meanwhile. */
const FIRST = 10_000;
const LAST = 32_000;
const TRIES = 50;

/**
 * A port of 127.0.0.1 that nobody listens on, for a server that can't be asked which one it took.
 *
 * @throws Error when none is found
 */
export async function findFreePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${LAST} in ${TRIES} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
