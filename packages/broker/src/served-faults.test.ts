import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { FaultProxy } from "../test/fault-proxy.ts";
import { available, bytes, logOf, record, textOf, WAIT } from "../test/feed.ts";
import { keeper } from "../test/keeper.ts";
import { type ConnectBrokerOptions, connectBroker } from "./connect.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { LeaseOwner } from "./lease-owner.ts";
import type { LeaseEvent } from "./lease-table.ts";
import type { Broker } from "./port.ts";
import { type ServeBrokerOptions, type ServedBroker, serveBroker } from "./serve.ts";
import { seededRandom, testSeed } from "./testing.ts";

const TOKEN = "a-token-for-these-tests";
const QUICK = { minBackOffMs: 1, maxBackOffMs: 20, requestMs: 15_000 };

const keep = keeper();

function connectTo(url: string, options: ConnectBrokerOptions = {}): Broker {
  const broker = connectBroker(url, { ...QUICK, ...options });
  return keep(broker, () => broker.close());
}

/** A served broker that can be restarted behind an address that stays. */
class Host {
  readonly proxy: FaultProxy;
  readonly #path: string | undefined;
  readonly #options: ServeBrokerOptions;
  broker: Broker;
  served: ServedBroker;

  private constructor(
    proxy: FaultProxy,
    path: string | undefined,
    options: ServeBrokerOptions,
    broker: Broker,
    served: ServedBroker,
  ) {
    this.proxy = proxy;
    this.#path = path;
    this.#options = options;
    this.broker = broker;
    this.served = served;
  }

  static async start(path?: string, options: ServeBrokerOptions = {}): Promise<Host> {
    const broker = openEmbeddedBroker(path === undefined ? {} : { path });
    const served = await serveBroker(broker, { token: TOKEN, ...options });
    const host = new Host(await FaultProxy.open(served.port), path, options, broker, served);
    keep(host.proxy, () => host.proxy.close());
    return keep(host, () => host.stop());
  }

  get url(): string {
    return this.proxy.urlOf(this.served.url);
  }

  async stop(): Promise<void> {
    await Promise.all([this.served.close(), this.broker.close()]);
  }

  async restart(): Promise<void> {
    await this.stop();
    this.broker = openEmbeddedBroker(this.#path === undefined ? {} : { path: this.#path });
    this.served = await serveBroker(this.broker, { token: TOKEN, ...this.#options });
    this.proxy.target(this.served.port);
  }
}

/** Publishes several at a time while `disturb` runs again and again, and expects that all was accepted once. */
async function expectWholeUnder(
  host: Host,
  seed: number,
  disturb: () => Promise<unknown> | undefined,
): Promise<void> {
  const random = seededRandom(seed);
  const [publisher, subscriber] = [connectTo(host.url), connectTo(host.url)];
  const [early, late] = [record(), record()];
  await subscriber.subscribe("c", early.listener);
  const sent: string[] = [];
  const accepted: Promise<string>[] = [];
  for (let round = 0; round < 6; round++) {
    const burst = 50 + random.below(100);
    for (let n = 0; n < burst; n++) {
      const content = `${sent.length}`;
      sent.push(content);
      const publishing = publisher.publish("c", bytes(content.padEnd(1 + random.below(2000))));
      accepted.push(
        publishing.then(({ position, duplicate }) => `${position.offset} ${position.tag} ${duplicate}`),
      );
      if (random.below(10) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await disturb();
    if (round === 3) await subscriber.subscribe("c", late.listener);
    if (random.below(2) === 0) await Promise.all(accepted);
  }
  const places = await Promise.all(accepted);
  const log = await logOf(connectTo(host.url), "c");
  expect(log.map((entry) => textOf(entry).trim()).sort()).toEqual([...sent].sort());
  expect(log.map(({ offset, tag }) => `${offset} ${tag} false`).sort()).toEqual([...places].sort());
  const whole = log.map(textOf);
  await vi.waitFor(() => expect(early.texts()).toEqual(whole), WAIT);
  const [joined] = late.events;
  const head = joined?.type === "subscribed" ? joined.position.offset : -1;
  await vi.waitFor(() => expect(late.texts()).toEqual(whole.slice(head)), WAIT);
  expect([...early.resets(), ...late.resets()]).toEqual([]);
}

describe("a server that is restarted", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-served-"));
    keep(folder, () => rm(folder, { recursive: true }));
  });

  test("loses and repeats nothing when it has its file", { timeout: 60_000 }, async () => {
    const host = await Host.start(join(folder, "log.db"));
    await expectWholeUnder(host, testSeed(), () => host.restart());
  });

  test("resets its subscribers when its log was in memory", async () => {
    const host = await Host.start();
    const client = connectTo(host.url);
    const seen = record();
    await client.subscribe("c", seen.listener);
    const { position: old } = await client.publish("c", bytes("old"));
    await vi.waitFor(() => expect(seen.texts()).toEqual(["old"]), WAIT);
    await host.restart();
    await vi.waitFor(() => expect(seen.resets()).toEqual(["epoch"]), WAIT);
    const { position } = await client.publish("c", bytes("new"));
    expect(position.epoch).not.toBe(old.epoch);
    await vi.waitFor(() => expect(seen.texts()).toEqual(["old", "new"]), WAIT);
    const reset = seen.events.find((event) => event.type === "reset");
    expect(reset).toMatchObject({ head: { epoch: position.epoch, offset: 0, tag: "" } });
    expect(await client.history("c", { since: old })).toMatchObject({
      type: "unrecoverable",
      reason: "epoch",
    });
  });

  test("resets a subscriber that missed more than the log keeps", async () => {
    const host = await Host.start();
    const [client, seen] = [connectTo(host.url), record()];
    await client.subscribe("c", seen.listener);
    await host.broker.publish("c", bytes("1"));
    await vi.waitFor(() => expect(seen.texts()).toEqual(["1"]), WAIT);
    host.proxy.refuse();
    const retention = { maxEntries: 3, maxAgeMs: 60_000 };
    for (let n = 2; n <= 9; n++) await host.broker.publish("c", bytes(`${n}`), { retention });
    host.proxy.accept();
    await vi.waitFor(() => expect(seen.resets()).toEqual(["trimmed"]), WAIT);
    await host.broker.publish("c", bytes("10"));
    await vi.waitFor(() => expect(seen.texts()).toEqual(["1", "10"]), WAIT);
  });
});

describe("leases", () => {
  test("are put back by their owners when the broker lost them, and followers are told all that there are", async () => {
    const host = await Host.start();
    const [one, other] = [connectTo(host.url), connectTo(host.url)];
    const owner = new LeaseOwner(one, { name: "node", ttlMs: 60_000 });
    for (const key of ["x", "y"]) await owner.put("g", key, bytes(key));
    const told: LeaseEvent[] = [];
    await other.leases.follow("g", (event) => told.push(event));
    await host.restart();
    // The owner's next renewal is far away: it renews when the broker is back.
    await vi.waitFor(async () => expect(await other.leases.list("g")).toHaveLength(2), WAIT);
    const keys = new Set<string>();
    const apply = (event: LeaseEvent) => {
      if (event.type === "leases") {
        keys.clear();
        for (const { key } of event.leases) keys.add(key);
      } else if (event.type === "put") keys.add(event.lease.key);
      else keys.delete(event.key);
    };
    await vi.waitFor(() => {
      expect(told.filter(({ type }) => type === "leases").length).toBeGreaterThan(1);
      told.forEach(apply);
      expect([...keys].sort()).toEqual(["x", "y"]);
    }, WAIT);
    await owner.close();
    expect(await other.leases.list("g")).toEqual([]);
  });

  test("are written once by a call whose answer was lost with its connection", async () => {
    const host = await Host.start();
    const client = connectTo(host.url);
    await available(client);
    const write = { owner: "one", ttlMs: 60_000, group: "g", key: "k", value: bytes("1"), lingerMs: 0 };
    const first = await client.leases.put({ ...write, when: { type: "own", version: 0 } });
    const version = first.type === "put" ? first.version : 0;
    // The request arrives, and nothing comes back on this connection any more.
    const { put } = host.broker.leases;
    const arrived = vi.spyOn(host.broker.leases, "put").mockImplementationOnce((...args) => {
      host.proxy.cut();
      return put.apply(host.broker.leases, args);
    });
    const taken = await client.leases.put({ ...write, owner: "two", when: { type: "expect", version } });
    expect(arrived).toHaveBeenCalledTimes(2);
    const [lease] = await client.leases.list("g");
    expect(taken).toEqual({ type: "put", version: lease?.version });
    expect(lease?.owner).toBe("two");
  });
});

describe("a connection", () => {
  test("that is cut while publishing loses and repeats nothing", { timeout: 60_000 }, async () => {
    const host = await Host.start();
    const seed = testSeed();
    const random = seededRandom(seed + 1);
    await expectWholeUnder(host, seed, async () => {
      for (let cuts = 1 + random.below(4); cuts > 0; cuts--) {
        host.proxy.cut();
        await new Promise((resolve) => setTimeout(resolve, random.below(15)));
      }
    });
  });

  test("that swallows everything is noticed, and loses and repeats nothing", {
    timeout: 60_000,
  }, async () => {
    const host = await Host.start();
    const options = { heartbeatMs: 40, deadAfterMs: 120 };
    const [client, seen] = [connectTo(host.url, options), record()];
    await client.subscribe("c", seen.listener);
    await client.publish("c", bytes("1"));
    const statuses: string[] = [];
    client.watch(({ type }) => statuses.push(type));
    for (const n of ["2", "3"]) {
      host.proxy.blackHole();
      const publishing = client.publish("c", bytes(n));
      await host.broker.publish("c", bytes(`${n} beside it`));
      expect(await publishing).toMatchObject({ duplicate: false });
    }
    expect(statuses).toContain("unavailable");
    const log = (await logOf(host.broker, "c")).map(textOf);
    expect([...log].sort()).toEqual(["1", "2", "2 beside it", "3", "3 beside it"]);
    await vi.waitFor(() => expect(seen.texts()).toEqual(log), WAIT);
  });

  test("that stays idle is kept by its heartbeat", async () => {
    const host = await Host.start(undefined, { idleMs: 800 });
    const client = connectTo(host.url, { heartbeatMs: 40, deadAfterMs: 800 });
    await available(client);
    const statuses: string[] = [];
    client.watch(({ type }) => statuses.push(type));
    const begun = host.proxy.chunks;
    // Beats and their answers, for several times as long as either side would wait without them.
    await vi.waitFor(() => expect(host.proxy.chunks - begun).toBeGreaterThan(120), WAIT);
    expect(statuses).toEqual(["available"]);
  });

  test("that reads too slowly is ended with a code, and the client still gets everything", async () => {
    const ends: (string | undefined)[] = [];
    const options = { maxQueuedBytes: 256 * 1024, onEnd: ({ code }: { code?: string }) => ends.push(code) };
    const host = await Host.start(undefined, options);
    const [client, seen] = [connectTo(host.url), record()];
    await client.subscribe("c", seen.listener);
    host.proxy.hold();
    const large = "x".repeat(100_000);
    for (let n = 0; n < 150 && !ends.includes("SLOW_CONSUMER"); n++)
      await host.broker.publish("c", bytes(large + n));
    expect(ends).toContain("SLOW_CONSUMER");
    host.proxy.release();
    const whole = (await logOf(host.broker, "c")).map(textOf);
    await vi.waitFor(() => expect(seen.texts().length).toBe(whole.length), WAIT);
    expect(seen.texts()).toEqual(whole);
    expect(seen.resets()).toEqual([]);
  });

  test("follows thousands of channels again after a cut, and each one's gap is filled", async () => {
    const host = await Host.start();
    const client = connectTo(host.url);
    const names = Array.from({ length: 3000 }, (_, n) => `many.${n}`);
    const seen = new Map(names.map((name) => [name, record()]));
    await Promise.all([...seen].map(([name, { listener }]) => client.subscribe(name, listener)));
    host.proxy.refuse();
    const missed = names.filter((_, n) => n % 3 === 0);
    await Promise.all(missed.map((name) => host.broker.publish(name, bytes("missed"))));
    host.proxy.accept();
    await Promise.all(names.map((name) => host.broker.publish(name, bytes("live"))));
    const total = () => [...seen.values()].reduce((sum, { events }) => sum + events.length, 0);
    await vi.waitFor(() => expect(total()).toBe(2 * names.length + missed.length), { ...WAIT, interval: 50 });
    for (const [n, name] of names.entries())
      expect(seen.get(name)?.texts()).toEqual(n % 3 === 0 ? ["missed", "live"] : ["live"]);
  });
});
