import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { MAX_DEPTH } from "@holdfast/hub";
import { Decoder, type Packet } from "socket.io-parser";
import { describe, expect, it } from "vitest";
import { encodeFrame } from "./frame.ts";
import {
  decodePacketEntry,
  type Envelope,
  encodePacketEntry,
  isReplayable,
  type PacketEntry,
  packetsOf,
} from "./packet-entry.ts";

const plain: Envelope = { namespace: "/", except: [], compress: true, volatile: false };
const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function decoded(bytes: Uint8Array): PacketEntry {
  const result = decodePacketEntry(bytes);
  if (!result.ok) throw new Error(result.reason);
  return result.value;
}

/** What a stock client makes of packets. */
function received(packets: readonly (string | Uint8Array)[]): Packet | undefined {
  const decoder = new Decoder({ maxAttachments: 1_000 });
  let packet: Packet | undefined;
  decoder.on("decoded", (whole: Packet) => {
    packet = whole;
  });
  for (const part of packets) decoder.add(part);
  return packet;
}

it("writes one argument to one plain room as the publish API does", () => {
  const bytes = encodePacketEntry({ data: ["säid", { a: [1, undefined, "\ud800"] }] }, ["lobby"], plain);
  expect(textOf(bytes)).toBe('["säid",{"a":[1,null,"\\ud800"]}]');
  expect(packetsOf(decoded(bytes))).toEqual(['2["säid",{"a":[1,null,"\\ud800"]}]']);
});

describe("writes a frame, and gives back what was said, where", () => {
  it.each<[string, unknown[], string[], Partial<Envelope>]>([
    ["there is no argument", ["e"], ["lobby"], {}],
    ["there are several", ["e", 1, "2"], ["lobby"], {}],
    ["it goes to everybody", ["e", 1], [], {}],
    ["it goes to one socket", ["e", 1], ["hnM_-0aaaaaaaaaaaaAB"], {}],
    ["it goes to several rooms", ["e", 1], ["a", "b"], { id: "m1" }],
    ["some are left out", ["e", 1], ["a"], { except: ["b"] }],
    ["it is of another namespace", ["e", 1], ["a"], { namespace: "/chat" }],
    ["it is not to be compressed", ["e", 1], ["a"], { compress: false }],
    ["it is volatile", ["e", 1], ["a"], { volatile: true }],
    ["an answer is awaited", ["e", 1], ["a"], { ack: { request: "r", node: "n", timeoutMs: 5 } }],
    ["it holds bytes", ["e", { b: Buffer.from([1, 2]), c: [new Uint8Array([3]).buffer] }], ["a"], {}],
    ["the event is a number", [5, 1], ["a"], {}],
  ])("%s", (_title, data, rooms, extra) => {
    const envelope = { ...plain, ...extra };
    const bytes = encodePacketEntry({ data }, rooms, envelope);
    expect(bytes[0]).toBe(2);
    const entry = decoded(bytes);
    expect(entry).toMatchObject(envelope);
    const comparable = (value: unknown) => JSON.parse(JSON.stringify(value));
    const expected = comparable(
      data.length === 2 && typeof data[1] === "object"
        ? ["e", { b: Buffer.from([1, 2]), c: [Buffer.from([3])] }]
        : data,
    );
    expect(comparable(entry.data)).toEqual(expected);
    const packet = received(packetsOf(entry));
    expect(comparable(packet?.data)).toEqual(expected);
    expect(packet?.nsp).toBe(envelope.namespace);
    expect(isReplayable(entry)).toBe(!envelope.volatile && !envelope.ack);
  });
});

it("adds an acknowledgement's id and a place without encoding anew", () => {
  for (const namespace of ["/", "/chat"]) {
    for (const data of [["e"], ["e", Buffer.from([1]), "x"]]) {
      const entry = decoded(encodePacketEntry({ data }, ["r"], { ...plain, namespace }));
      const packet = received(packetsOf(entry, { id: 42, place: '1."p' }));
      expect(packet).toMatchObject({ nsp: namespace, id: 42, data: [...data, '1."p'] });
    }
  }
  const foreign = decoded(bytesOf('[ "e" , [1] ] \n'));
  expect(received(packetsOf(foreign, { place: "p" }))?.data).toEqual(["e", [1], "p"]);
});

it("keeps the id of one socket's own acknowledgement, and does not replay it", () => {
  const entry = decoded(encodePacketEntry({ data: ["e", 1], id: 7 }, ["lobby"], plain));
  expect(entry.packetId).toBe(7);
  expect(received(packetsOf(entry))?.id).toBe(7);
  expect(isReplayable(entry)).toBe(false);
});

describe("refuses", () => {
  const frame = (header: Record<string, unknown>, text: string, ...attachments: Uint8Array[]) =>
    encodeFrame({ header, text, attachments });
  const deep = `2["e",${"[".repeat(MAX_DEPTH + 1)}${"]".repeat(MAX_DEPTH + 1)}]`;
  it.each<[string, Uint8Array, string]>([
    ["nothing", bytesOf(""), "encoding"],
    ["another encoding", new Uint8Array([0x92, 1]), "encoding"],
    ["a frame's first byte alone", new Uint8Array([2]), "shape"],
    ["a header longer than all", new Uint8Array([2, 255, 255, 255, 255, 1]), "shape"],
    ["a header that is no JSON", new Uint8Array([2, 0, 0, 0, 1, 0x7b]), "json"],
    ["a header that is no UTF-8", new Uint8Array([2, 0, 0, 0, 1, 0xff]), "utf-8"],
    ["a header that is a list", new Uint8Array([2, 0, 0, 0, 2, 0x5b, 0x5d]), "shape"],
    ["no namespace", frame({}, '2["e"]'), "shape"],
    ["a namespace that is not the packet's", frame({ n: "/a" }, '2/b,["e"]'), "shape"],
    ["a packet of another type", frame({ n: "/" }, "1"), "shape"],
    ["arguments that are no list", frame({ n: "/" }, '2{"e":1}'), "shape"],
    ["arguments that are no JSON", frame({ n: "/" }, '2["e"]]'), "json"],
    ["no event", frame({ n: "/" }, "2[]"), "shape"],
    ["an event that ends connections", frame({ n: "/" }, '2["connect"]'), "shape"],
    ["the same in plain text", bytesOf('["disconnect",1]'), "shape"],
    [
      "a placeholder of nothing",
      frame({ n: "/" }, '51-["e",{"_placeholder":true,"num":1}]', bytesOf("x")),
      "shape",
    ],
    ["exceptions that are no rooms", frame({ n: "/", x: [{}] }, '2["e"]'), "shape"],
    ["an id that is no text", frame({ n: "/", m: 1 }, '2["e"]'), "shape"],
    ["a request without a node", frame({ n: "/", a: ["r"] }, '2["e"]'), "shape"],
    ["an abyss", frame({ n: "/" }, deep), "depth"],
    ["an abyss in the header", frame({ n: "/", x: JSON.parse(deep.slice(1)) }, '2["e"]'), "depth"],
  ])("%s", (_title, bytes, reason) => {
    expect(decodePacketEntry(bytes)).toEqual({ ok: false, reason });
  });
});

it("never throws, and passes on only what a stock client can read, whatever the bytes", () => {
  const random = seededRandom(testSeed());
  const sources = [
    encodePacketEntry({ data: ["e", { a: [1, "]"] }] }, ["lobby"], plain),
    encodePacketEntry({ data: ["e", Buffer.from("xyz"), "é"] }, ["a", "b"], {
      ...plain,
      id: "m",
      except: ["c"],
    }),
    encodePacketEntry({ data: ["e"] }, [], {
      ...plain,
      namespace: "/n",
      ack: { request: "r", node: "n", timeoutMs: 1 },
    }),
  ];
  let passed = 0;
  for (let n = 0; n < 20_000; n++) {
    const bytes = Buffer.from(random.pick(sources));
    for (let change = random.below(3); change >= 0; change--) {
      bytes[random.below(bytes.length)] = random.pick([
        0,
        0x22,
        0x2c,
        0x30,
        0x5b,
        0x5d,
        0x7b,
        0xff,
        random.below(256),
      ]);
    }
    const result = decodePacketEntry(
      bytes.subarray(0, random.below(20) === 0 ? random.below(bytes.length) : undefined),
    );
    if (!result.ok) continue;
    passed++;
    expect(received(packetsOf(result.value, { place: "p" }))).toBeDefined();
  }
  expect(passed).toBeGreaterThan(100);
});
