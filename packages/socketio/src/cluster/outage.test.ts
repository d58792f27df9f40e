import { type Broker, BrokerError, openEmbeddedBroker } from "@holdfast/broker";
import { afterEach, beforeEach, expect, it } from "vitest";
import { TestCluster, type TestNode, until } from "../../test/cluster.ts";

let broker: Broker;
let cluster: TestCluster;
/** While it is true, the nodes' calls for logs are refused. */
let isAway: boolean;
beforeEach(() => {
  isAway = false;
  broker = openEmbeddedBroker();
  cluster = new TestCluster(() => refusing(broker));
});
afterEach(async () => {
  isAway = false;
  await cluster.close();
  await broker.close();
});

function refusing(real: Broker): Broker {
  const refused = new Set<PropertyKey>(["publish", "publishAll", "subscribe", "notify"]);
  return new Proxy(real, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) =>
        isAway && refused.has(name)
          ? Promise.reject(new BrokerError("BROKER_UNAVAILABLE"))
          : value.apply(target, args);
    },
  });
}

it("lets clients connect while the broker is away, tells of every emit that is lost, and goes on by itself", async () => {
  const [a, b] = (await cluster.nodes(2)) as [TestNode, TestNode];
  const here = await cluster.client(a);
  isAway = true;
  const started = performance.now();
  const late = await cluster.client(b);
  expect(performance.now() - started).toBeLessThan(4_000);
  await expect(a.holdfast.emit(a.io, "lost", 1)).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
  a.io.emit("lost", 2);
  a.io.volatile.emit("lost", 3);
  await until(() => a.events.filter(({ type }) => type === "emit-failed").length === 3);
  await expect(a.io.timeout(5_000).fetchSockets()).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
  isAway = false;
  await until(async () => {
    a.io.to(late.id).emit("again");
    await new Promise((resolve) => setTimeout(resolve, 20));
    return late.packets.length > 0;
  });
  a.io.emit("all");
  await until(() => [here, late].every(({ packets }) => packets.some(([event]) => event === "all")));
  expect([...here.packets, ...late.packets].some(([event]) => event === "lost")).toBe(false);
});

it("resolves a join when the room is followed at last, and gives up one that was left", async () => {
  const [a] = (await cluster.nodes(1)) as [TestNode];
  const client = await cluster.client(a);
  const socket = a.io.sockets.sockets.get(client.id);
  if (!socket) throw new Error("no socket");
  isAway = true;
  let joined = false;
  const join = Promise.resolve(socket.join("r")).then(() => {
    joined = true;
  });
  const left = Promise.resolve(socket.join("s"));
  await until(() => a.events.filter(({ type }) => type === "broker-error").length >= 2);
  socket.leave("s");
  await left;
  expect(joined).toBe(false);
  isAway = false;
  await join;
  a.io.to("r").emit("e");
  await until(() => client.packets.length === 1);
});

it("refuses options that it doesn't know, and a second server", async () => {
  const { createHoldfast } = await import("../holdfast.ts");
  const { Server } = await import("socket.io");
  for (const options of [
    {},
    { broker, nodes: 1 },
    { broker, node: "" },
    { broker, retention: { maxEntries: 0, maxAgeMs: 1 } },
  ]) {
    expect(() => createHoldfast(options as never)).toThrow("a binding option is unknown or out of range");
  }
  const holdfast = createHoldfast({ broker, node: "n" });
  const io = new Server({ ...holdfast.options });
  expect(() => new Server({ ...holdfast.options })).toThrow(
    expect.objectContaining({ code: "SERVER_TAKEN" }),
  );
  await Promise.all([...io._nsps.values()].map((namespace) => namespace.adapter.close()));
  await holdfast.close();
});
