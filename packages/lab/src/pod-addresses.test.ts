import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { PodAddresses, type PodNetwork } from "./pod-addresses.ts";

const open: PodAddresses[] = [];
afterEach(() => Promise.all(open.splice(0).map((addresses) => addresses.close())));

function addressesOf(network: PodNetwork): PodAddresses {
  const addresses = new PodAddresses(network);
  open.push(addresses);
  return addresses;
}

test("gives every pod an address of its own on which any port can be listened on", async () => {
  const addresses = addressesOf("auto");
  const pods = [await addresses.allot([3000]), await addresses.allot([3000])];
  expect(new Set(pods.map(({ ip }) => ip)).size).toBe(2);
  const servers = await Promise.all(
    pods.map(async ({ ip, ports }) => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject).listen(ports.get(3000), ip, resolve);
      });
      return server;
    }),
  );
  for (const server of servers) server.close();
});

test("goes on in another block when one is used up", async () => {
  const addresses = addressesOf("addresses");
  const ips: string[] = [];
  for (let pod = 0; pod < 300; pod++) ips.push((await addresses.allot([])).ip);
  expect(new Set(ips).size).toBe(300);
  expect(ips.every((ip) => /^127\.\d+\.\d+\.\d+$/.test(ip) && !ip.startsWith("127.0."))).toBe(true);
});

test("never gives two labs the same block", async () => {
  const labs = Array.from({ length: 20 }, () => addressesOf("addresses"));
  const blocks = await Promise.all(labs.map(async (lab) => (await lab.allot([])).ip.replace(/\.\d+$/, "")));
  expect(new Set(blocks).size).toBe(20);
});

test("gives every pod ports of its own on 127.0.0.1 where it is told to", async () => {
  const addresses = addressesOf("ports");
  const pods = [await addresses.allot([3000, 9090]), await addresses.allot([3000, 9090])];
  expect(pods.map(({ ip }) => ip)).toEqual(["127.0.0.1", "127.0.0.1"]);
  const ports = pods.flatMap((pod) => [pod.ports.get(3000), pod.ports.get(9090)]);
  expect(new Set(ports).size).toBe(4);
  expect(ports).not.toContain(undefined);
});
