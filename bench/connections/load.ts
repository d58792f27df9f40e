import type { Socket } from "node:net";
import { answerHarness } from "../child.ts";
import type { LoadCalls } from "./calls.ts";
import { openConnection } from "./client.ts";

/** Clients come from as many addresses of the loopback net as it takes for none to run out of ports. */
const SOURCES = 200;
const FIRST_SOURCE = 20;

const opened: Socket[] = [];
const failure = Promise.withResolvers<never>();
failure.promise.catch(() => {});

answerHarness<LoadCalls>({
  open: async ({ port, connections, atOnce }) => {
    let left = connections;
    const worker = async () => {
      while (left-- > 0) {
        const source = `127.0.0.${FIRST_SOURCE + (left % SOURCES)}`;
        opened.push(await openConnection({ port, source }, failure.reject));
      }
    };
    await Promise.race([Promise.all(Array.from({ length: atOnce }, worker)), failure.promise]);
  },

  prove: () =>
    Promise.race([
      failure.promise,
      opened.every((socket) => socket.readyState === "open")
        ? Promise.resolve(undefined)
        : Promise.reject(new Error("a connection is not open")),
    ]),
});
