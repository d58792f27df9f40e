import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import {
  type Broker,
  connectBroker,
  openEmbeddedBroker,
  type ServedBroker,
  serveBroker,
} from "@holdfast/broker";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type TestClient, TestCluster, type TestNode, until } from "../../test/cluster.ts";

interface Other {
  readonly process: ChildProcess;
  readonly url: string;
}

let broker: Broker;
let served: ServedBroker;
let link: Broker;
let cluster: TestCluster;
let others: Other[];
let processes: ChildProcess[];
beforeEach(async () => {
  broker = openEmbeddedBroker();
  served = await serveBroker(broker);
  link = connectBroker(served.url);
  cluster = new TestCluster(() => link);
  processes = [];
});
afterEach(async () => {
  for (const process of processes) process.kill("SIGKILL");
  await cluster.close();
  await link.close();
  await served.close();
  await broker.close();
});

async function start(name: string, ...address: string[]): Promise<Other> {
  const process = fork(
    join(import.meta.dirname, "../../test/node-process.ts"),
    [served.url, name, ...address],
    {
      execArgv: [],
    },
  );
  processes.push(process);
  const [port] = await once(process, "message");
  return { process, url: `http://127.0.0.1:${port}` };
}

/** A node here that knows others in processes of their own, and a client on each that answers `n` with it. */
async function beside(
  names: readonly string[],
  ...address: string[]
): Promise<{ here: TestNode; clients: TestClient[] }> {
  const here = await cluster.node("here", {}, {}, (io) => {
    io.on("connection", (socket) => void socket.join("r"));
  });
  others = await Promise.all(names.map((name) => start(name, ...address)));
  await until(async () => (await here.io.of("/").adapter.serverCount()) === 1 + names.length);
  const clients = [here, ...others].map((node) => cluster.client(node));
  for (const { socket } of await Promise.all(clients)) {
    socket.on("n", (n: number, answer: (n: number) => void) => answer(n));
  }
  return { here, clients: await Promise.all(clients) };
}

const idsOf = async (sockets: Promise<readonly { readonly id: string }[]>) =>
  (await sockets).map(({ id }) => id).sort();
const silenceOf = ({ events }: TestNode) => events.filter(({ type }) => type === "node-silent");

it("asks no more of a node that was killed than it takes to find that nobody is there", async () => {
  const { here, clients } = await beside(["killed", "living"]);
  const ids = () => idsOf(here.io.fetchSockets());
  expect(await ids()).toEqual(clients.map(({ id }) => id).sort());
  const rest = [clients[0]?.id, clients[2]?.id].sort();
  others[0]?.process.kill("SIGKILL");
  await once(others[0]?.process as ChildProcess, "exit");
  const begun = performance.now();
  const answers = await Promise.all([
    ids(),
    here.io.timeout(20_000).to("r").emitWithAck("n", 7),
    here.io.serverSideEmitWithAck("name"),
    here.io.in("r").allSockets(),
  ]);
  expect(performance.now() - begun).toBeLessThan(4_000);
  expect(answers.slice(0, 3)).toEqual([rest, [7, 7], ["living"]]);
  expect([...(answers[3] as Set<string>)].sort()).toEqual(rest);
  const again = performance.now();
  expect(await ids()).toEqual(rest);
  here.io.socketsJoin("s");
  expect(await here.io.timeout(20_000).to("s").emitWithAck("n", 8)).toEqual([8, 8]);
  expect(performance.now() - again).toBeLessThan(1_400);
  expect(silenceOf(here)).toEqual([{ type: "node-silent", node: "killed" }]);
});

it("waits for a node that is only slow", async () => {
  const { here, clients } = await beside(["slow"]);
  others[0]?.process.kill("SIGSTOP");
  const found = idsOf(here.io.fetchSockets());
  setTimeout(() => others[0]?.process.kill("SIGCONT"), 2_500);
  expect(await found).toEqual(clients.map(({ id }) => id).sort());
  expect(silenceOf(here)).toEqual([]);
});

it("takes a node for gone that is slow and can't be reached, until it is heard again", async () => {
  const { here, clients } = await beside(["slow"], "http://127.0.0.1:1");
  others[0]?.process.kill("SIGSTOP");
  expect(await idsOf(here.io.fetchSockets())).toEqual([clients[0]?.id]);
  expect(silenceOf(here)).toEqual([{ type: "node-silent", node: "slow" }]);
  others[0]?.process.kill("SIGCONT");
  await until(async () => (await here.io.fetchSockets()).length === 2);
  expect(await here.io.timeout(20_000).to("r").emitWithAck("n", 7)).toEqual([7, 7]);
});
