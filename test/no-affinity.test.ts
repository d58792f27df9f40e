import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { survival } from "../faults/survival.ts";

const seed = testSeed();

// Half of the clients poll. Without a cookie, and with every request at the next pod, none of them could even begin a
// session if pods didn't hand requests to each other.
test(`with no affinity at all every client has every message once and in one order while pods are killed (SEED=${seed})`, async () => {
  const report = await survival({
    seed,
    clients: 20,
    channels: 3,
    messages: 600,
    signal: "SIGKILL",
    affinity: "none",
  });
  console.log(report);
  expect(report.violations).toEqual([]);
  expect(report.published).toBe(603);
  expect(report.refused).toBe(0);
  // Without these the run would prove nothing.
  expect(report.kills).toBeGreaterThanOrEqual(2);
  expect(report.resumes).toBeGreaterThan(20);
  expect(report.recovered).toBeGreaterThan(0);
});

test("a server that is stopped holds nobody for longer than its lease, and answers through others once it goes on", async () => {
  const broker = openEmbeddedBroker();
  const served = await serveBroker(broker);
  const children = ["web-0", "web-1"].map((name) =>
    fork(join(import.meta.dirname, "support/recovery-node.ts"), [served.url, name], { execArgv: [] }),
  );
  try {
    const ports = await Promise.all(children.map(async (child) => (await once(child, "message"))[0]));
    const [owner, other] = ports.map((port) => `http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`);
    const begin = async () => JSON.parse((await (await fetch(`${owner}`)).text()).slice(1)).sid as string;
    const post = async (sid: string) => {
      const answer = await fetch(`${other}&sid=${sid}`, { method: "POST", body: "40" });
      return `${answer.status} ${await answer.text()}`;
    };
    const sid = await begin();
    await expect.poll(() => post(sid), { timeout: 20_000 }).toBe("200 ok");
    const stopped = Date.now();
    children[0]?.kill("SIGSTOP");
    expect(await post(sid)).toBe('400 {"code":1,"message":"Session ID unknown"}');
    expect(Date.now() - stopped).toBeLessThan(30_000);
    // Now that it is known, it takes no time.
    const known = Date.now();
    expect(await post(sid)).toMatch(/^400 /);
    expect(Date.now() - known).toBeLessThan(5_000);
    children[0]?.kill("SIGCONT");
    await expect.poll(async () => post(await begin()), { timeout: 20_000, interval: 200 }).toBe("200 ok");
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await served.close();
    await broker.close();
  }
});
