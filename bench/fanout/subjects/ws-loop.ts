import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { answerHarness } from "../../child.ts";
import type { ServerCalls } from "../calls.ts";
import { composePayload, sharedClock } from "../payload.ts";

// What somebody writes who wants no library: the message itself, to every socket, one after the other.
const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
await once(server, "listening");

answerHarness<ServerCalls>({
  address: () => ({ port: (server.address() as AddressInfo).port, dialect: "frames" }),
  publish: ({ first, count }) => {
    for (let number = first; number < first + count; number++) {
      const message = composePayload(number, sharedClock());
      for (const client of server.clients) client.send(message);
    }
    return undefined;
  },
});
