import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TestCluster, until } from "../../test/cluster.ts";
import { joinLobby, RecoveryCluster } from "../../test/recovery-cluster.ts";

let broker: Broker;
let cluster: TestCluster;
beforeEach(() => {
  broker = openEmbeddedBroker();
  cluster = new TestCluster(() => broker);
});
afterEach(async () => {
  await cluster.close();
  await broker.close();
});

const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 1);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The broker takes its time, a different one for each call, before it has what it is given and before it answers. */
function delay(next: () => number): void {
  const wait = () => new Promise((resolve) => setTimeout(resolve, next() * 5));
  const { publish, publishAll } = broker;
  broker.publish = async (...args) => {
    await wait();
    const published = await publish.apply(broker, args);
    await wait();
    return published;
  };
  broker.publishAll = async (...args) => {
    await wait();
    const outcomes = await publishAll.apply(broker, args);
    await wait();
    return outcomes;
  };
}

describe("what one server emits to different rooms comes in the order of its calls", () => {
  const rooms = ["r", "s", "t", "u"];

  it("however late the broker answers", async () => {
    const random = seededRandom(testSeed());
    const nodes = await cluster.nodes(2, {}, (io) => {
      io.on("connection", (socket) => void socket.join(rooms));
    });
    const clients = await Promise.all(nodes.map((node) => cluster.client(node)));
    await until(() => nodes.every(({ io }) => io.of("/").adapter.rooms.size === 5));
    await nodes[1]?.io.fetchSockets();
    delay(random.next);
    for (let n = 1; n <= 300; n++) {
      nodes[0]?.io.to(random.pick(rooms)).emit("n", n);
      if (random.below(3) === 0) await turn();
    }
    await until(() => clients.every(({ packets }) => packets.length === 300));
    for (const { packets } of clients) expect(packets.map(([, n]) => n)).toEqual(upTo(300));
  });

  it("when the connection to the broker is lost in between, and what was not answered is sent again", async () => {
    const recovery = new RecoveryCluster();
    try {
      const random = seededRandom(testSeed());
      const a = await recovery.node(joinLobby);
      const client = recovery.client();
      await client.connect(a);
      await a.io.in(client.id).fetchSockets();
      for (const socket of a.io.sockets.sockets.values()) await socket.join(rooms);
      const emitting = (async () => {
        for (let n = 1; n <= 400; n++) {
          a.io.to(random.pick(rooms)).emit("n", n);
          if (random.below(2) === 0) await turn();
        }
      })();
      await turn();
      await recovery.restartBroker();
      await emitting;
      await until(() => client.numbers.length === 400);
      expect(client.numbers).toEqual(upTo(400));
    } finally {
      await recovery.close();
    }
  });
});
