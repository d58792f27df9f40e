import { isChannelName } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { expect, it } from "vitest";
import { inboxChannel, namespaceChannel, type Room, roomChannel } from "./room-channel.ts";

it("carries a room of the main namespace in the channel of its name", () => {
  for (const room of ["lobby", "a/b:c", "x", "user@example.com", "r".repeat(200)]) {
    expect(roomChannel("/", room)).toBe(room);
  }
});

it.each<[string, string, Room, string]>([
  ["another namespace", "/chat", "lobby", "holdfast:room:/chat:lobby"],
  ["a socket's own room", "/", "hnM_-0aaaaaaaaaaaaAB", "holdfast:sid:/:hnM_-0aaaaaaaaaaaaAB"],
  ["a name that no channel has", "/", "my room", "holdfast:room:/:my=20room"],
  ["a reserved name", "/", "holdfast:cluster", "holdfast:room:/:holdfast=3acluster"],
  ["a name beyond Latin", "/", "\u{1f600}é", "holdfast:room:/:=ud83d=ude00=e9"],
  ["no name", "/", "", "holdfast:room:/:"],
])("gives %s a reserved channel of its own", (_title, namespace, room, channel) => {
  expect(roomChannel(namespace, room)).toBe(channel);
});

it("never gives two rooms one channel, whatever their names, and always a valid one", () => {
  const random = seededRandom(testSeed());
  const pieces = [
    ..."ab:/=#,%é ",
    "=3a",
    "=u",
    "\ud83d",
    "\ude00",
    "holdfast:room:/",
    "x".repeat(199),
    "sha256-",
    "A".repeat(20),
  ];
  const text = (most: number) =>
    Array.from({ length: random.below(most) }, () => random.pick(pieces)).join("");
  const seen = new Map<string, string>();
  for (let n = 0; n < 20_000; n++) {
    const namespace = `/${random.pick(["", "a", "a:b", text(3)])}`;
    const room = text(5);
    const channel = roomChannel(namespace, room);
    const place = JSON.stringify([namespace, room]);
    expect(isChannelName(channel), place).toBe(true);
    expect(seen.get(channel) ?? place).toBe(place);
    seen.set(channel, place);
    seen.set(namespaceChannel(namespace), JSON.stringify(namespace));
  }
  expect(roomChannel("/", 7 as unknown as Room)).not.toBe(roomChannel("/", "7"));
  expect(isChannelName(inboxChannel("Gub6uxCmxFI"))).toBe(true);
});
