import { pino } from "pino";
import { expect, test, vi } from "vitest";
import { RedisServer } from "../../broker-redis/test/redis-server.ts";
import { openAnyBroker } from "./broker-engines.ts";

const log = pino({ level: "silent" });

test.each([
  "memory:",
  "redis://127.0.0.1:1",
  "redis+sentinel://127.0.0.1:1/main",
  "redis+cluster://127.0.0.1:1",
  "nats://127.0.0.1:1?partitions=2",
  "tls+nats://user:password@127.0.0.1:1,127.0.0.1:2",
])("opens %s without waiting for its servers", async (url) => {
  const broker = openAnyBroker(url, log);
  expect(broker.abilities.leases).toBe(true);
  await broker.close();
});

test.each(["redis://", "rediss+cluster://h/1", "nats://", "constructor:x", "other://h", ""])(
  "refuses %j",
  (url) => {
    expect(() => openAnyBroker(url, log)).toThrow(expect.objectContaining({ code: "BROKER_URL_INVALID" }));
  },
);

test("logs how safe what Redis accepts is, and that it may throw logs away", async () => {
  const server = await RedisServer.start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru");
  const lines: string[] = [];
  const broker = openAnyBroker(server.url, pino({}, { write: (line: string) => void lines.push(line) }));
  try {
    await vi.waitFor(() => expect(lines).toHaveLength(2));
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: 30,
      server: `127.0.0.1:${server.port}`,
      appendonly: "no",
      msg: expect.stringMatching(/^what Redis accepts is kept so: in memory only/),
    });
    expect(JSON.parse(lines[1] ?? "")).toMatchObject({ level: 40, policy: "allkeys-lru" });
  } finally {
    await broker.close();
    await server[Symbol.asyncDispose]();
  }
});
