import type { Broker } from "@holdfast/broker";
import { expect, test, vi } from "vitest";
import { keeper } from "../../broker/test/keeper.ts";
import { Followed, publishSurely } from "../test/followed.ts";
import { SentinelSystem } from "../test/redis-sentinel.ts";
import { connectRedisBroker } from "./mod.ts";

const QUICK = { minBackOffMs: 10, maxBackOffMs: 200, heartbeatMs: 100, deadAfterMs: 600, requestMs: 10_000 };
const WAIT = { timeout: 20_000, interval: 20 };

const keep = keeper();

function connect(url: string): Broker {
  const broker = connectRedisBroker(url, QUICK);
  return keep(broker, () => broker.close());
}

test("a primary that is killed, and one that only hangs, are followed by another; no accepted entry is lost in silence", async () => {
  const made = await SentinelSystem.start();
  keep(made, () => made[Symbol.asyncDispose]());
  const [a, b] = [connect(made.url), connect(made.url)];
  const seen = [await Followed.on(a, "room"), await Followed.on(b, "room")];
  const accepted: string[] = [];
  const publish = async (content: string) => {
    await publishSurely(a, "room", content);
    accepted.push(content);
  };
  for (let n = 0; n < 20; n++) await publish(`before ${n}`);
  await made.synced(2);
  const first = made.primary;
  await first.kill();
  for (let n = 0; n < 20; n++) await publish(`killed ${n}`);
  await first.restart();
  await made.settled();
  const second = made.primary;
  second.suspend();
  for (let n = 0; n < 20; n++) await publish(`hung ${n}`);
  second.resume();
  await publish("end");
  for (const one of seen) {
    await vi.waitFor(() => expect(one.contents.at(-1)).toBe("end"), WAIT);
    // Replication is asynchronous: what the new primary lacked is told by a reset, and is not to be expected after it.
    const missing = accepted.filter((content) => !one.contents.includes(content));
    if (one.resets.length === 0) expect(missing).toEqual([]);
    expect(new Set(one.contents).size).toBe(one.contents.length);
  }
}, 90_000);
