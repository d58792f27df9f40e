import { expect, test } from "vitest";
import { openAnyBroker } from "./broker-engines.ts";

test.each([
  "memory:",
  "redis://127.0.0.1:1",
  "redis+sentinel://127.0.0.1:1/main",
  "redis+cluster://127.0.0.1:1",
])("opens %s without waiting for its servers", async (url) => {
  const broker = openAnyBroker(url);
  expect(broker.abilities.leases).toBe(true);
  await broker.close();
});

test.each(["redis://", "rediss+cluster://h/1", "other://h", ""])("refuses %j", (url) => {
  expect(() => openAnyBroker(url)).toThrow(expect.objectContaining({ code: "BROKER_URL_INVALID" }));
});
