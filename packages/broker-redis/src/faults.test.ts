import { type AddressInfo, createServer } from "node:net";
import type { Broker } from "@holdfast/broker";
import { describe, expect, test, vi } from "vitest";
import { FaultProxy } from "../../broker/test/fault-proxy.ts";
import { keeper } from "../../broker/test/keeper.ts";
import { Followed, numbers, publishSurely } from "../test/followed.ts";
import { RedisServer } from "../test/redis-server.ts";
import { connectRedisBroker, type RedisBrokerEvent, type RedisBrokerOptions } from "./mod.ts";

const QUICK = { minBackOffMs: 5, maxBackOffMs: 50, heartbeatMs: 50, deadAfterMs: 300, requestMs: 5000 };
const WAIT = { timeout: 15_000, interval: 10 };
const CHANNEL = "room";

const keep = keeper();

async function start(...options: string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...options);
  return keep(server, () => server[Symbol.asyncDispose]());
}

async function proxyTo(server: RedisServer): Promise<FaultProxy> {
  const proxy = await FaultProxy.open(server.port);
  return keep(proxy, () => proxy.close());
}

function connect(port: number, options: RedisBrokerOptions = {}): Broker {
  const broker = connectRedisBroker(`redis://127.0.0.1:${port}`, { ...QUICK, ...options });
  return keep(broker, () => broker.close());
}

/** The ports that the server's subscribers come from. */
function subscribers(server: RedisServer): number[] {
  const list = server.command("CLIENT", "LIST", "TYPE", "pubsub");
  return [...list.matchAll(/ addr=\S+:(\d+)/g)].map(([, port]) => Number(port));
}

describe("a connection", () => {
  test("that is cut again and again costs no subscriber an entry, and gives none twice", async () => {
    const server = await start();
    const proxy = await proxyTo(server);
    const [far, near] = [connect(proxy.port), connect(server.port)];
    const seen = await Followed.on(far, CHANNEL);
    for (let n = 1; n <= 60; n++) {
      if (n % 10 === 0) proxy.cut();
      await publishSurely(n % 2 ? near : far, CHANNEL, `${n}`);
    }
    await vi.waitFor(() => expect(seen.contents).toEqual(numbers(1, 60)), WAIT);
    expect(seen.resets).toEqual([]);
  });

  test.each(["both of its connections", "its subscriptions alone"])(
    "that swallows what is sent, on %s, is given up, and what was missed is delivered",
    async (which) => {
      const server = await start();
      const proxy = await proxyTo(server);
      const [far, near] = [connect(proxy.port), connect(server.port)];
      const seen = await Followed.on(far, CHANNEL);
      await publishSurely(near, CHANNEL, "1");
      await vi.waitFor(() => expect(seen.contents).toEqual(["1"]), WAIT);
      const ports = subscribers(server);
      if (which.startsWith("both")) proxy.blackHole();
      else for (const port of ports) proxy.blackHole(port);
      await publishSurely(near, CHANNEL, "2");
      await publishSurely(far, CHANNEL, "3");
      await vi.waitFor(() => expect(seen.contents).toEqual(["1", "2", "3"]), WAIT);
      expect(seen.resets).toEqual([]);
    },
  );

  test("that the server ends since it was read too slowly is made again, and nothing is missing", async () => {
    const server = await start("--client-output-buffer-limit", "pubsub 200kb 0 0");
    const proxy = await proxyTo(server);
    // So slow that the server loses its patience first.
    const [far, near] = [connect(proxy.port, { deadAfterMs: 60_000 }), connect(server.port)];
    const seen = await Followed.on(far, CHANNEL);
    proxy.hold();
    const ended = () =>
      /client_output_buffer_limit_disconnections:(\d+)/.exec(server.command("INFO", "stats"))?.[1];
    let n = 0;
    while (ended() === "0")
      for (let m = 0; m < 100; m++) await publishSurely(near, CHANNEL, `${++n}`, 20_000);
    proxy.release();
    await vi.waitFor(() => expect(seen.contents).toHaveLength(n), WAIT);
    expect(seen.contents).toEqual(numbers(1, n));
    expect(seen.resets).toEqual([]);
  });

  test("that can't be made fails calls in time, and they are told to try again", async () => {
    const server = await start();
    const proxy = await proxyTo(server);
    proxy.refuse();
    const broker = connect(proxy.port, { requestMs: 300 });
    const refused = { code: "BROKER_UNAVAILABLE", retryable: true };
    await expect(broker.publish(CHANNEL, new Uint8Array())).rejects.toMatchObject(refused);
    await expect(broker.subscribe(CHANNEL, () => undefined)).rejects.toMatchObject(refused);
    await expect(broker.leases.list("group")).rejects.toMatchObject(refused);
    proxy.accept();
    await publishSurely(broker, CHANNEL, "1");
    const statuses: string[] = [];
    broker.watch(({ type }) => statuses.push(type));
    await vi.waitFor(() => expect(statuses.at(-1)).toBe("available"), WAIT);
  });

  test("to what is no Redis is given up, and made when there is one", async () => {
    const server = await start();
    const proxy = await proxyTo(server);
    const other = createServer((socket) =>
      socket.on("error", () => undefined).end("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    keep(other, () => other.close());
    proxy.target((other.address() as AddressInfo).port);
    const broker = connect(proxy.port, { requestMs: 300 });
    const refused = { code: "BROKER_UNAVAILABLE", retryable: true };
    await expect(broker.publish(CHANNEL, new Uint8Array())).rejects.toMatchObject(refused);
    proxy.target(server.port);
    await publishSurely(broker, CHANNEL, "1");
  });

  test("with a wrong password is refused at once, and works when the server takes it", async () => {
    const server = await start("--requirepass", "right");
    const broker = connectRedisBroker(`redis://:wrong@127.0.0.1:${server.port}`, QUICK);
    keep(broker, () => broker.close());
    const refused = { code: "TOKEN_REFUSED", retryable: false };
    await expect(broker.publish(CHANNEL, new Uint8Array())).rejects.toMatchObject(refused);
    server.command("-a", "right", "--no-auth-warning", "CONFIG", "SET", "requirepass", "wrong");
    await vi.waitFor(async () => expect((await broker.publish(CHANNEL, new Uint8Array())).seq).toBe(1), WAIT);
  });
});

describe("a server", () => {
  test("that is killed and keeps its log costs nobody an entry, and no epoch changes", async () => {
    const server = await start("--appendonly", "yes", "--appendfsync", "always");
    const [a, b] = [connect(server.port), connect(server.port)];
    const seen = await Followed.on(b, CHANNEL);
    for (let n = 1; n <= 30; n++) {
      const publishing = publishSurely(a, CHANNEL, `${n}`);
      if (n % 10 === 5) await server.restart();
      await publishing;
    }
    await vi.waitFor(() => expect(seen.contents).toEqual(numbers(1, 30)), WAIT);
    expect(seen.resets).toEqual([]);
  });

  test("that comes back empty resets its subscribers, and old positions are refused", async () => {
    const server = await start();
    const [a, b] = [connect(server.port), connect(server.port)];
    const seen = await Followed.on(b, CHANNEL);
    for (const content of ["a", "b"]) await publishSurely(a, "another", content);
    const { position, seq } = await publishSurely(a, CHANNEL, "1");
    await vi.waitFor(() => expect(seen.contents).toEqual(["1"]), WAIT);
    await server.restart();
    await vi.waitFor(
      () => expect(seen.resets).toMatchObject([{ reason: "epoch", head: { offset: 0 } }]),
      WAIT,
    );
    // Nobody takes it for what came before: it counts on.
    expect((await publishSurely(a, CHANNEL, "anew")).seq).toBeGreaterThan(seq);
    await vi.waitFor(() => expect(seen.contents).toEqual(["1", "anew"]), WAIT);
    expect(await a.history(CHANNEL, { since: position })).toMatchObject({ reason: "epoch" });
  });

  test("that has no memory left refuses publishes as full, serves readers, and takes publishes again", async () => {
    const server = await start("--maxmemory-policy", "noeviction");
    const broker = connect(server.port);
    await publishSurely(broker, CHANNEL, "1");
    server.command("CONFIG", "SET", "maxmemory", "1mb");
    const full = { code: "BROKER_FULL", retryable: true };
    // With a key, so that one whose connection is lost meanwhile is sent again.
    const [data, key] = [new Uint8Array(), { idempotencyKey: "refused" }];
    await expect(broker.publish(CHANNEL, data, key)).rejects.toMatchObject(full);
    await expect(broker.publishAll([{ channel: CHANNEL, data, ...key }])).rejects.toMatchObject(full);
    expect((await broker.history(CHANNEL, {})).head.offset).toBe(1);
    server.command("CONFIG", "SET", "maxmemory", "0");
    expect((await publishSurely(broker, CHANNEL, "2")).position.offset).toBe(2);
  });

  test("that forgets its scripts is given them again", async () => {
    const server = await start();
    const broker = connect(server.port);
    for (let n = 1; n <= 3; n++) {
      server.command("SCRIPT", "FLUSH");
      expect((await publishSurely(broker, CHANNEL, `${n}`)).position.offset).toBe(n);
    }
  });
});

describe("with each connection it is told how safe what is accepted is", () => {
  async function told(server: RedisServer, url = server.url): Promise<readonly RedisBrokerEvent[]> {
    const events: RedisBrokerEvent[] = [];
    const broker = connectRedisBroker(url, { ...QUICK, onEvent: (event) => events.push(event) });
    keep(broker, () => broker.close());
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(0), WAIT);
    return events;
  }

  test.each([
    [["--appendonly", "yes", "--appendfsync", "always"], /^on the server's disk before it is accepted/],
    [["--appendonly", "yes", "--appendfsync", "everysec"], /synced each second/],
    [["--appendonly", "yes", "--appendfsync", "no"], /when the system likes/],
    [["--save", "60 1"], /^in memory, and in snapshots: .*save 60 1/],
    [["--min-replicas-to-write", "1"], /^in memory only: .*; refused while fewer than 1 replicas/],
  ])("by a server with %j", async (options, durability) => {
    const server = await start(...options);
    const [event] = await told(server);
    expect(event).toMatchObject({
      type: "connected",
      server: `127.0.0.1:${server.port}`,
      durability: expect.stringMatching(durability),
    });
  });

  test("by one that forbids to read its configuration, as far as it says", async () => {
    const server = await start("--appendonly", "yes");
    server.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config");
    const [event] = await told(server, server.url.replace("//", "//app:secret@"));
    expect(event).toMatchObject({ durability: expect.stringMatching(/does not say how that is synced/) });
    expect(event).not.toHaveProperty("appendfsync");
  });

  test("and that logs may be evicted", async () => {
    const server = await start("--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru");
    const events = await told(server);
    expect(events[1]).toEqual({
      type: "may-evict",
      server: `127.0.0.1:${server.port}`,
      policy: "volatile-lru",
    });
  });
});

describe("a replica that takes over without the newest entries", () => {
  /** Two servers behind one address; what is accepted after `part` is on the first one only. */
  async function pair() {
    const [primary, replica] = [await start(), await start()];
    replica.command("REPLICAOF", "127.0.0.1", `${primary.port}`);
    const proxy = await proxyTo(primary);
    const synced = () => expect(primary.replicasInStep()).toBe(1);
    await vi.waitFor(synced, WAIT);
    return {
      proxy,
      part: async () => {
        await vi.waitFor(synced, WAIT);
        replica.command("REPLICAOF", "NO", "ONE");
      },
      takeOver: async () => {
        proxy.target(replica.port);
        await primary.kill();
      },
    };
  }

  test("is found out by those who were given them: all are told, and old positions are refused", async () => {
    const { proxy, part, takeOver } = await pair();
    const [a, b] = [connect(proxy.port), connect(proxy.port)];
    const seen = [await Followed.on(a, CHANNEL), await Followed.on(b, CHANNEL)];
    const kept = await publishSurely(a, CHANNEL, "kept");
    await part();
    const lost = await publishSurely(a, CHANNEL, "lost");
    for (const one of seen) await vi.waitFor(() => expect(one.contents).toEqual(["kept", "lost"]), WAIT);
    await takeOver();
    for (const one of seen)
      await vi.waitFor(() => expect(one.resets).toMatchObject([{ reason: "epoch" }]), WAIT);
    const next = await publishSurely(b, CHANNEL, "next");
    for (const one of seen)
      await vi.waitFor(() => expect(one.contents).toEqual(["kept", "lost", "next"]), WAIT);
    expect(next.position.offset).toBe(2);
    for (const { position } of [kept, lost])
      expect(await b.history(CHANNEL, { since: position })).toMatchObject({ reason: "epoch" });
  });

  test("is found out by who published them, though nobody was given them", async () => {
    const { proxy, part, takeOver } = await pair();
    const broker = connect(proxy.port);
    const kept = await publishSurely(broker, CHANNEL, "kept");
    await part();
    await publishSurely(broker, CHANNEL, "lost");
    await takeOver();
    await vi.waitFor(
      async () =>
        expect(await broker.history(CHANNEL, { since: kept.position })).toMatchObject({ reason: "epoch" }),
      WAIT,
    );
  });

  test("is found out also when it has written on before anybody looked", async () => {
    const { proxy, part, takeOver } = await pair();
    const [a, b] = [connect(proxy.port), connect(proxy.port)];
    const seen = await Followed.on(a, CHANNEL);
    await publishSurely(a, CHANNEL, "kept");
    await part();
    for (const content of ["lost 1", "lost 2"]) await publishSurely(a, CHANNEL, content);
    await vi.waitFor(() => expect(seen.contents).toHaveLength(3), WAIT);
    await takeOver();
    await Promise.all(numbers(1, 5).map((content) => publishSurely(b, CHANNEL, content)));
    const late = await Followed.on(b, CHANNEL);
    await vi.waitFor(() => expect(seen.resets.length).toBeGreaterThan(0), WAIT);
    await publishSurely(b, CHANNEL, "end");
    await vi.waitFor(() => expect(seen.contents.at(-1)).toBe("end"), WAIT);
    await vi.waitFor(() => expect(late.contents.at(-1)).toBe("end"), WAIT);
    // What it was given after the reset is the end of the log, without a hole.
    const log = await b.history(CHANNEL, {});
    const offsets = seen.events.slice(seen.events.findLastIndex(({ type }) => type === "reset") + 1);
    const given = offsets.flatMap((event) => (event.type === "entry" ? [event.entry.offset] : []));
    expect(given).toEqual(Array.from(given, (_, n) => log.head.offset - given.length + 1 + n));
  });
});
