import { beforeEach } from "vitest";
import { encodeClient } from "../src/client-messages.ts";
import { type ConnectBrokerOptions, connectBroker } from "../src/connect.ts";
import { openEmbeddedBroker } from "../src/embedded.ts";
import { PROTOCOL } from "../src/message-fields.ts";
import type { Broker } from "../src/port.ts";
import { type ConnectionEnd, type ServeBrokerOptions, type ServedBroker, serveBroker } from "../src/serve.ts";
import { keeper } from "./keeper.ts";
import { RawClient } from "./raw-client.ts";

export const TOKEN = "a-token-for-these-tests";
export const HELLO = encodeClient({ type: "hello", protocol: PROTOCOL, token: TOKEN });

/** A broker for each of a file's tests, served and connected to. To be called once, where the tests are declared. */
export function servedBroker() {
  const keep = keeper();
  let current: Broker;
  let ended: ConnectionEnd[];
  beforeEach(() => {
    const made = openEmbeddedBroker();
    current = keep(made, () => made.close());
    ended = [];
  });
  /** The one behind the servers. */
  const broker = () => current;
  /** How connections to the servers ended. */
  const ends = () => ended;

  async function serve(options: ServeBrokerOptions = {}, behind = current): Promise<ServedBroker> {
    const end = (one: ConnectionEnd) => ended.push(one);
    const served = await serveBroker(behind, { token: TOKEN, onEnd: end, ...options });
    return keep(served, () => served.close());
  }

  function connectTo(url: string, options: ConnectBrokerOptions = {}): Broker {
    const client = connectBroker(url, { minBackOffMs: 1, maxBackOffMs: 20, ...options });
    return keep(client, () => client.close());
  }

  function speakTo(port: number): RawClient {
    const client = new RawClient(port);
    return keep(client, () => client.socket.destroy());
  }

  return { keep, broker, ends, serve, connectTo, speakTo };
}
