import type { Channel, Message } from "@holdfast/client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cluster, urlOf } from "../test/cluster.ts";

let cluster: Cluster;
beforeEach(async () => {
  cluster = await Cluster.start();
});
afterEach(() => cluster.close());

function collect(channel: Channel): Message[] {
  const messages: Message[] = [];
  channel.on("message", (message) => messages.push(message));
  return messages;
}

describe.each(["polling", "websocket"] as const)("over %s", (transport) => {
  const socket = { transports: [transport] };

  it("delivers what is published through the API, in order, with the node's name in the welcome", async () => {
    const node = await cluster.node("node-a");
    const api = await cluster.api({ basePath: "/api" });
    const client = cluster.client(node, { socket, api: `${urlOf(api)}/api/` });
    const channel = client.channel("room:1");
    const messages = collect(channel);
    expect(await channel.subscribe()).toEqual({ recovered: false, missed: 0 });
    expect(client.node).toBe("node-a");

    for (let n = 1; n <= 20; n++) {
      const published = await client.publish("room:1", "said", { n });
      expect(published).toMatchObject({ channel: "room:1", offset: n, duplicate: false });
    }
    await expect.poll(() => messages.length).toBe(20);
    expect(messages.map((message) => message.offset)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
    expect(messages[4]).toMatchObject({ event: "said", data: { n: 5 } });
    expect(channel.cursor).toBe(messages[19]?.cursor);
  });

  it("resumes on another node by cursor when the first is gone", async () => {
    const first = await cluster.node("first");
    const second = await cluster.node("second");
    const api = await cluster.api();
    const publisher = cluster.client(second, { api: urlOf(api) });
    const client = cluster.client(first, { socket });
    const channel = client.channel("room");
    const messages = collect(channel);
    await channel.subscribe();
    await publisher.publish("room", "said", 1);
    await expect.poll(() => messages.length).toBe(1);

    await first.close();
    for (let n = 2; n <= 300; n++)
      await cluster.broker.publish("room", new TextEncoder().encode(`["said",${n}]`));
    const other = cluster.client(second, { socket }).channel("room");
    const resumed = collect(other);
    const recovered = new Promise((resolve) => other.on("recovered", resolve));
    const cursor = channel.cursor ?? "";
    expect(await other.subscribe({ cursor })).toEqual({ recovered: true, missed: 299 });
    expect(await recovered).toEqual({ count: 299 });
    await publisher.publish("room", "said", 301);
    await expect.poll(() => resumed.length).toBe(300);
    expect([...messages, ...resumed].map((message) => message.data)).toEqual(
      Array.from({ length: 301 }, (_, n) => n + 1),
    );
  });

  it("reconnects by itself, and resumes every channel where it was", async () => {
    const node = await cluster.node("node");
    const client = cluster.client(node, { socket });
    const channels = ["a", "b", "c"].map((name) => client.channel(name));
    const messages = channels.map(collect);
    await Promise.all(channels.map((channel) => channel.subscribe()));
    const publish = async (n: number) => {
      for (const { name } of channels)
        await cluster.broker.publish(name, new TextEncoder().encode(`["n",${n}]`));
    };
    await publish(1);
    await expect.poll(() => messages.map((list) => list.length)).toEqual([1, 1, 1]);

    client.socket.io.engine.close();
    await publish(2);
    await publish(3);
    await expect
      .poll(() => messages.map((list) => list.map((message) => message.data)))
      .toEqual([
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3],
      ]);
  });
});

it("puts the node's name on the handshake's answer", async () => {
  const node = await cluster.node("pod-7");
  const answer = await fetch(`${urlOf(node)}/socket.io/?EIO=4&transport=polling`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("x-holdfast-node")).toBe("pod-7");
});

it("tells the client that a cursor can't be continued from, and has it load its state before messages go on", async () => {
  const node = await cluster.node("node");
  const channel = cluster.client(node).channel("room");
  const seen: unknown[] = [];
  channel.on("message", (message) => seen.push(message.data));
  let loaded = () => {};
  const subscribed = await channel.subscribe({
    cursor: "1.elsewhere.5.abcd",
    getState: (reason) => {
      seen.push(reason);
      return new Promise<void>((resolve) => {
        loaded = resolve;
      });
    },
  });
  expect(subscribed).toEqual({ recovered: false, missed: 0 });
  await cluster.broker.publish("room", new TextEncoder().encode(`["said",1]`));
  await cluster.broker.publish("room", new TextEncoder().encode(`["said",2]`));
  const other = cluster.client(node).channel("room");
  const others = collect(other);
  await other.subscribe({ cursor: "1.elsewhere.5.abcd" });
  await cluster.broker.publish("room", new TextEncoder().encode(`["said",3]`));
  await expect.poll(() => others.length).toBe(1);
  expect(seen).toEqual(["unrecovered"]);
  loaded();
  await expect.poll(() => seen).toEqual(["unrecovered", 1, 2, 3]);
});

it("keeps the place of an entry whose bytes are no message", async () => {
  const node = await cluster.node("node");
  const channel = cluster.client(node).channel("room");
  const messages = collect(channel);
  const unreadable: number[] = [];
  channel.on("unreadable", ({ offset }) => unreadable.push(offset));
  await channel.subscribe();
  const deep = `["e",${"[".repeat(50_000)}${"]".repeat(50_000)}]`;
  for (const bytes of ["garbage", '["only"]', '{"event":"x"}', "", deep, '["said",1]']) {
    await cluster.broker.publish("room", new TextEncoder().encode(bytes));
  }
  await expect.poll(() => messages.length).toBe(1);
  expect(unreadable).toEqual([1, 2, 3, 4, 5]);
  expect(messages[0]?.offset).toBe(6);
});

it("goes on after a listener threw, and says so", async () => {
  const node = await cluster.node("node");
  const client = cluster.client(node);
  const errors: string[] = [];
  client.on("error", ({ error }) => errors.push(error.code));
  const channel = client.channel("room");
  channel.on("message", () => {
    throw new Error("the application's own");
  });
  const messages = collect(channel);
  await channel.subscribe();
  for (let n = 0; n < 3; n++) await cluster.broker.publish("room", new TextEncoder().encode(`["said",${n}]`));
  await expect.poll(() => messages.length).toBe(3);
  expect(errors).toEqual(["LISTENER_FAILED", "LISTENER_FAILED", "LISTENER_FAILED"]);
});

it("delivers nothing after unsubscribe, and goes on from the cursor that was kept", async () => {
  const node = await cluster.node("node");
  const channel = cluster.client(node).channel("room");
  const messages = collect(channel);
  await channel.subscribe();
  await cluster.broker.publish("room", new TextEncoder().encode(`["said",1]`));
  await expect.poll(() => messages.length).toBe(1);
  channel.unsubscribe();
  await cluster.broker.publish("room", new TextEncoder().encode(`["said",2]`));
  const cursor = channel.cursor ?? "";
  expect(messages.length).toBe(1);
  await channel.subscribe({ cursor });
  await expect.poll(() => messages.map((message) => message.data)).toEqual([1, 2]);
});

it("refuses a channel name that is none, for good", async () => {
  const node = await cluster.node("node");
  const client = cluster.client(node);
  const errors: unknown[] = [];
  client.channel("no spaces").on("error", (error) => errors.push(error.serverCode));
  await expect(client.channel("no spaces").subscribe()).rejects.toMatchObject({
    code: "SUBSCRIBE_REFUSED",
    serverCode: "CHANNEL_INVALID",
  });
  expect(errors).toEqual(["CHANNEL_INVALID"]);
});
