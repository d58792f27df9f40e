import { type Broker, type Entry, openEmbeddedBroker } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type MissedOptions, readBefore, readMissed } from "./missed.ts";
import { channelMark, formatPlace, type Place, parsePlace } from "./place.ts";
import { markOf, type SessionRoom } from "./session-record.ts";

let broker: Broker;
let log: { channel: string; entry: Entry }[];
const start: Place = { type: "start" };

beforeEach(() => {
  broker = openEmbeddedBroker();
  log = [];
});
afterEach(() => broker.close());

async function publish(channel: string, text = `${channel}${log.length}`, retention?: object) {
  const data = new TextEncoder().encode(text);
  const { position, seq } = await broker.publish(channel, data, retention as never);
  log.push({ channel, entry: { ...position, seq, time: 0, data } });
}
const seq = () => log.at(-1)?.entry.seq ?? 0;
const head = async (channel: string) => (await broker.history(channel, { limit: 0 })).head;
const joined = async (room: string): Promise<SessionRoom> => {
  const position = await head(room);
  return { room, epoch: position.epoch, join: markOf(position, seq()) };
};
const placeAt = (index: number): Place => {
  const at = log.at(index);
  return (at && parsePlace(formatPlace(at.channel, at.entry, at.entry.seq))) ?? start;
};

async function missed(rooms: readonly SessionRoom[], place: Place, options: Partial<MissedOptions> = {}) {
  const names = rooms.map(({ room }) => String(room));
  const last = new Map(await Promise.all(names.map(async (name) => [name, await head(name)] as const)));
  return readMissed({
    read: (channel, query) => broker.history(channel, query),
    rooms: new Map(rooms.map((room) => [String(room.room), room])),
    left: new Map(),
    place,
    last,
    seq: seq(),
    fresh: new Set(),
    maxEntries: 10_000,
    maxBytes: 10_000_000,
    ...options,
  });
}
const texts = (result: Awaited<ReturnType<typeof missed>>) =>
  result.ok ? result.entries.map(({ entry }) => new TextDecoder().decode(entry.data)) : result.reason;

const runSeed = testSeed();

it(`merges what several rooms have past one place, by the order of publishing (SEED=${runSeed})`, async () => {
  const { below, pick } = seededRandom(runSeed);
  const names = ["a", "b", "c", "quiet"];
  const rooms: SessionRoom[] = [];
  for (let n = 0; n < 1_500; n++) {
    if (n % 100 === 0 && rooms.length < names.length) rooms.push(await joined(names[rooms.length] ?? ""));
    await publish(pick(["a", "b", "c", "other"]));
  }
  for (let round = 0; round < 20; round++) {
    let at = below(log.length);
    while (log[at]?.channel === "other") at = below(log.length);
    const expected = log
      .slice(at + 1)
      .filter(({ channel, entry }) => {
        const room = rooms.find((one) => one.room === channel);
        return room && entry.offset > room.join.offset;
      })
      .map(({ entry }) => new TextDecoder().decode(entry.data));
    expect(texts(await missed(rooms, placeAt(at)))).toEqual(expected);
  }
});

it("begins at each room's join where the client was given nothing, and after the place in a room that was joined before", async () => {
  await publish("a");
  const rooms = [await joined("a"), await joined("b")];
  await publish("a");
  await publish("b");
  rooms.push(await joined("c"));
  await publish("c");
  expect(texts(await missed(rooms, start))).toEqual(["a1", "b2", "c3"]);
  expect(texts(await missed(rooms, placeAt(1)))).toEqual(["b2", "c3"]);
  expect(texts(await missed(rooms, placeAt(3)))).toEqual([]);
});

it("leaves to the live feed what the node had not handed out", async () => {
  const rooms = [await joined("a")];
  await publish("a");
  const last = new Map([["a", await head("a")]]);
  await publish("a");
  const result = await missed(rooms, start, { last });
  expect(texts(result)).toEqual(["a0"]);
  expect(result.ok && result.reached.get("a")).toBe(0);
});

it("says how far the client is ahead of the node", async () => {
  const rooms = [await joined("a")];
  const last = new Map([["a", await head("a")]]);
  for (let n = 0; n < 3; n++) await publish("a");
  const result = await missed(rooms, placeAt(1), { last, seq: 0 });
  expect(texts(result)).toEqual([]);
  expect(result.ok && result.reached.get("a")).toBe(2);
});

it("reads nothing where the newest entry is one that the client has", async () => {
  const rooms = [await joined("a"), await joined("b")];
  await publish("a");
  let reads = 0;
  const read: MissedOptions["read"] = (channel, query) => {
    reads++;
    return broker.history(channel, query);
  };
  expect(texts(await missed(rooms, placeAt(0), { read }))).toEqual([]);
  expect(reads).toBe(0);
});

const KEEP_ONE = { retention: { maxEntries: 1, maxAgeMs: 3_600_000 } };

it("refuses where what was missed is no longer kept", async () => {
  const rooms = [await joined("a")];
  await publish("a");
  await publish("a");
  await publish("a", "new", KEEP_ONE);
  expect(texts(await missed(rooms, placeAt(0)))).toBe("trimmed");
  expect(texts(await missed(rooms, start))).toBe("trimmed");
  expect(texts(await missed(rooms, placeAt(1)))).toEqual(["new"]);
});

it("goes on where no entry is kept any more, and the newest one was before the place", async () => {
  const rooms = [await joined("a"), await joined("b")];
  await publish("a", "gone", { retention: { maxEntries: 1, maxAgeMs: 1 } });
  await publish("b");
  await publish("b", "new");
  await expect
    .poll(async () => (await broker.history("a", {})) as unknown)
    .toMatchObject({ type: "page", entries: [] });
  expect(texts(await missed(rooms, placeAt(1)))).toEqual(["new"]);
  expect(texts(await missed(rooms, start))).toBe("trimmed");
});

it("goes on in a quiet room whose entries are gone, by what was seen of it", async () => {
  const room = await joined("a");
  await publish("a");
  const seen = log[0]?.entry;
  await publish("b");
  const rooms = [room, await joined("b")];
  await publish("b");
  await publish("a", "new", KEEP_ONE);
  expect(texts(await missed(rooms, placeAt(2)))).toBe("trimmed");
  const witnessed = {
    ...room,
    seen: { offset: seen?.offset ?? 0, tag: seen?.tag ?? "", seq: seen?.seq ?? 0 },
  };
  expect(texts(await missed([witnessed, ...rooms.slice(1)], placeAt(2)))).toEqual(["new"]);
});

it("refuses a place of another log: its epoch, its tag, its end", async () => {
  const rooms = [await joined("a")];
  await publish("a");
  await publish("a");
  const place = placeAt(0) as Extract<Place, { type: "entry" }>;
  expect(texts(await missed([{ ...(rooms[0] as SessionRoom), epoch: "other" }], place))).toBe("epoch");
  expect(texts(await missed(rooms, { ...place, tag: "other" }))).toBe("tag");
  expect(texts(await missed(rooms, { ...place, offset: 9, seq: 9 }))).toBe("ahead");
  expect(texts(await missed(rooms, { ...place, mark: channelMark("b") }))).toBe("place");
  const lost = { ...(rooms[0] as SessionRoom), join: { offset: 1, tag: "other", seq: 1 } };
  expect(texts(await missed([lost], start))).toBe("tag");
});

it("refuses a room that was rolled back and written anew after the session joined it", async () => {
  await publish("b");
  await publish("a");
  const join = markOf((await head("a")) as never, seq());
  const rooms = [
    { room: "a", epoch: (await head("a")).epoch, join: { ...join, tag: "gone" } },
    { room: "b", epoch: (await head("b")).epoch, join: { offset: 0, tag: "", seq: 0 } },
  ];
  await publish("a");
  expect(texts(await missed(rooms, placeAt(0)))).toBe("tag");
});

it("checks a place in a room that was left against that room's log", async () => {
  const [a, b] = [await joined("a"), await joined("b")];
  await publish("b");
  await publish("a");
  const left = new Map([["b", b]]);
  expect(texts(await missed([a], placeAt(0), { left }))).toEqual(["a1"]);
  const place = { ...(placeAt(0) as Extract<Place, { type: "entry" }>), tag: "other" };
  expect(texts(await missed([a], place, { left }))).toBe("tag");
});

it("is bounded, by count and by bytes", async () => {
  const rooms = [await joined("a")];
  for (let n = 0; n < 5; n++) await publish("a", "x".repeat(100));
  expect(texts(await missed(rooms, start, { maxEntries: 4 }))).toBe("too-many");
  expect(texts(await missed(rooms, start, { maxBytes: 499 }))).toBe("too-many");
  expect(texts(await missed(rooms, start, { maxEntries: 5, maxBytes: 500 }))).toHaveLength(5);
});

it("takes for copies that the client has only what was handed out before live entries were kept", async () => {
  const rooms = [await joined("a")];
  await publish("a");
  await publish("a");
  const last = new Map([["a", { epoch: rooms[0]?.epoch ?? "", offset: 1, tag: log[0]?.entry.tag ?? "" }]]);
  const options = { rooms: new Map([["a", rooms[0] as SessionRoom]]), last };
  const before = await readBefore("a", {
    ...options,
    read: (channel, query) => broker.history(channel, query),
    left: new Map(),
    place: start,
    seq: 0,
    fresh: new Set(),
    maxEntries: 10,
    maxBytes: 10_000,
  });
  expect(before.map(({ entry }) => entry.offset)).toEqual([1]);
});
