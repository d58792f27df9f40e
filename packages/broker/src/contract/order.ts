import { setTimeout as pause } from "node:timers/promises";
import { expect, vi } from "vitest";
import type { Broker, ChannelEvent } from "../port.ts";
import { seededRandom, testSeed } from "../testing.ts";
import { contents, text, WAIT } from "./world.ts";

const CHANNELS = 12;
const ROUNDS = 40;

/**
 * Publishes to many channels through one node, and holds what the other is told of all of them together, some of which it
 * subscribes to only later, against what `behind`, `abreast` and the ability `oneSequence` promise.
 *
 * @param cut breaks the reader's connections, as a network does; they can be made again at once
 */
export async function orderCheck(
  reader: Broker,
  writer: Broker,
  channel: string,
  cut?: () => void,
): Promise<void> {
  const { below, pick } = seededRandom(testSeed());
  const names = Array.from({ length: CHANNELS }, (_, n) => `${channel}.${n}`);
  const told: { readonly name: string; readonly event: ChannelEvent }[] = [];
  const subscribe = (name: string) => reader.subscribe(name, (event) => told.push({ name, event }));
  const later = names.slice(CHANNELS / 2);
  await Promise.all(names.slice(0, CHANNELS / 2).map(subscribe));

  const subscribing: Promise<unknown>[] = [];
  const published: Promise<unknown>[] = [];
  let sent = 0;
  const message = () => ({ channel: pick(names), data: text(`${++sent}`) });
  for (let round = 0; round < ROUNDS; round++) {
    if (round % 8 === 4) cut?.();
    const next = round % 5 === 2 ? later.pop() : undefined;
    if (next !== undefined) subscribing.push(subscribe(next));
    for (let burst = below(12); burst > 0; burst--) {
      if (below(3) === 0) published.push(writer.publishAll(Array.from({ length: 1 + below(9) }, message)));
      else {
        const { channel: name, data } = message();
        published.push(writer.publish(name, data));
      }
    }
    if (below(3) === 0) await Promise.all(published);
    else await pause(below(5));
  }
  await Promise.all([...published, ...subscribing]);
  await writer.publishAll(names.map((name) => ({ channel: name, data: text("last") })));
  const ends = () =>
    told.filter(({ event }) => event.type === "entry" && contents([event.entry])[0] === "last").length;
  await vi.waitFor(() => expect(ends()).toBe(CHANNELS - later.length), WAIT);
  const open = () => told.reduce((sum, { event }) => sum + (STEPS[event.type] ?? 0), 0);
  await vi.waitFor(() => expect(open()).toBe(0), WAIT);

  const faults: string[] = [];
  const places = new Map<string, { offset: number; behind: boolean }>();
  const held: { readonly name: string; readonly seq: number }[] = [];
  let newest = 0;
  for (const { name, event } of told) {
    const place = places.get(name) ?? { offset: 0, behind: false };
    places.set(name, place);
    if (event.type === "subscribed") place.offset = event.position.offset;
    else if (event.type === "reset") faults.push(`${name} was reset: ${event.reason}`);
    else if (event.type === "behind" || event.type === "abreast") {
      const behind = event.type === "behind";
      if (place.behind === behind) faults.push(`${name} was told ${event.type} twice`);
      place.behind = behind;
    } else if (event.type === "entry") {
      const { offset, seq } = event.entry;
      if (offset !== ++place.offset) faults.push(`${name}: ${offset} instead of ${place.offset}`);
      held.push({ name, seq });
    }
    // What came while a channel was behind is in order with all that comes once none is any more.
    if (reader.abilities.oneSequence !== true || [...places.values()].some(({ behind }) => behind)) continue;
    held.sort((one, other) => one.seq - other.seq);
    for (const { name: late, seq } of held) {
      if (seq < newest) faults.push(`${late}: ${seq} came after ${newest} without warning`);
      newest = Math.max(newest, seq);
    }
    held.length = 0;
  }
  expect(faults).toEqual([]);
  if (cut) expect(told.filter(({ event }) => event.type === "behind").length).toBeGreaterThan(0);
}

const STEPS: { readonly [type: string]: number } = { behind: 1, abreast: -1 };
