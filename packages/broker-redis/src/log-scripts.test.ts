import type { Broker, Position } from "@holdfast/broker";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RedisServer } from "../test/redis-server.ts";
import { connectRedisBroker } from "./mod.ts";

const STATE = "{holdfast:0}m room";

let server: RedisServer;
let broker: Broker;
beforeEach(async () => {
  server = await RedisServer.start();
  broker = connectRedisBroker(server.url);
});
afterEach(async () => {
  await broker.close();
  await server[Symbol.asyncDispose]();
});

const bytes = (text: string) => new TextEncoder().encode(text);

/** Writes the state of a channel with one entry as earlier versions did, which kept less. */
function makeOld({ epoch, offset, tag }: Position): void {
  server.command("SET", STATE, `${epoch} ${offset} ${tag} ${Date.now()} 1 0 5 60000`);
}

test("goes on with a channel's state that an earlier version wrote, and knows the seq of its newest entry", async () => {
  const retention = { maxEntries: 5, maxAgeMs: 60_000 };
  const first = await broker.publish("room", bytes("1"), { retention });
  await broker.publish("elsewhere", bytes("1"));
  makeOld(first.position);
  const page = { entries: [{ offset: 1 }], head: first.position, seq: first.seq };
  expect(await broker.history("room", {})).toMatchObject(page);
  const second = await broker.publish("room", bytes("2"));
  expect(second.position).toMatchObject({ epoch: first.position.epoch, offset: 2 });
  expect(await broker.history("room", { limit: 0 })).toMatchObject({
    head: second.position,
    seq: second.seq,
  });
  // Its retention is still its own.
  for (let n = 3; n <= 8; n++) await broker.publish("room", bytes(`${n}`));
  const { entries } = (await broker.history("room", {})) as { entries: readonly unknown[] };
  expect(entries).toHaveLength(5);
});

test("tells a seq that is not less where an earlier version's newest entry is gone, and none of an empty log", async () => {
  const { position, seq } = await broker.publish("room", bytes("1"));
  const last = await broker.publish("elsewhere", bytes("1"));
  makeOld(position);
  server.command("DEL", "{holdfast:0}s room");
  const history = await broker.history("room", { limit: 0 });
  expect(history).toMatchObject({ head: position, seq: last.seq });
  expect(history.seq).toBeGreaterThan(seq);
  await broker.history("empty", {});
  server.command("SET", STATE.replace("room", "empty"), "epoch-of-it 0 - 0 1 0 0 0");
  expect(await broker.history("empty", {})).toMatchObject({ head: { offset: 0 }, seq: 0 });
});
