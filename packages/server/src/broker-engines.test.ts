import { pino } from "pino";
import { expect, test } from "vitest";
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
