import type { Broker } from "@holdfast/broker";
import { answerHarness } from "../../child.ts";
import { receivedBytes } from "../../received-bytes.ts";
import { openEngine } from "../engine.ts";
import type { NodeCalls } from "./calls.ts";
import { composeMessage, Inbox } from "./inbox.ts";

let broker: Broker;
let inbox: Inbox;
const utf8 = new TextEncoder();
const text = new TextDecoder();

async function publishTo(channels: readonly string[], number?: number): Promise<void> {
  await Promise.all(
    channels.map((channel) => broker.publish(channel, utf8.encode(composeMessage(channel, number)))),
  );
}

answerHarness<NodeCalls>({
  open: async ({ url, channels }) => {
    broker = openEngine(url);
    inbox = new Inbox(channels);
    await Promise.all(
      channels.map((channel) =>
        broker.subscribe(channel, (event) => {
          if (event.type === "entry") inbox.take(text.decode(event.entry.data));
        }),
      ),
    );
  },
  publish: async ({ channels, first, count }) => {
    for (let number = first; number < first + count; number++) await publishTo(channels, number);
  },
  probe: async ({ channels }) => {
    await publishTo(channels);
  },
  follows: async () => {
    await inbox.follows();
  },
  delivered: async ({ number }) => {
    await inbox.delivered(number);
  },
  receivedBytes: () => receivedBytes(),
});
