import { expect, test, vi } from "vitest";
import { record, WAIT } from "../test/feed.ts";
import { BrokerError } from "./errors.ts";
import type { ChannelEvent, Entry, History, Position } from "./port.ts";
import { type ChannelHost, RemoteChannel } from "./remote-channel.ts";

function entry(offset: number): Entry {
  return { offset, seq: offset, tag: `t${offset}`, time: 0, data: new Uint8Array() };
}

function at(offset: number, epoch = "e"): Position {
  return { epoch, offset, tag: offset === 0 ? "" : `t${offset}` };
}

function page(from: number, to: number): History {
  const entries = Array.from({ length: to - from + 1 }, (_, n) => entry(from + n));
  return { type: "page", entries, head: at(to), seq: to };
}

/** A host whose reads the test answers. */
class Host implements ChannelHost {
  readonly subscribeMs = 50;
  readonly reads: { readonly since: Position; readonly answer: (history: History) => void }[] = [];
  readonly calls: string[] = [];

  follow(channel: string): void {
    this.calls.push(`follow ${channel}`);
  }

  leave(channel: string): void {
    this.calls.push(`leave ${channel}`);
  }

  read(_channel: string, since: Position): Promise<History> {
    return new Promise((answer) => this.reads.push({ since, answer }));
  }

  onListenerError(error: unknown): void {
    throw error;
  }
}

async function following(head: Position) {
  const [host, seen] = [new Host(), record()];
  const channel = new RemoteChannel("c", host);
  const joining = channel.join(seen.listener);
  channel.subscribed(head);
  return { host, seen, channel, subscription: await joining };
}

async function nextRead(host: Host, count = 1) {
  await vi.waitFor(() => expect(host.reads).toHaveLength(count), WAIT);
  const read = host.reads[count - 1];
  if (!read) throw new Error("There is no read.");
  return read;
}

test("reads on when an entry is pushed in the moment between a page's arrival and its use", async () => {
  const { host, seen, channel } = await following(at(0));
  channel.away();
  channel.subscribed(at(2));
  const first = await nextRead(host);
  first.answer(page(1, 2));
  channel.entry(entry(3));
  const second = await nextRead(host, 2);
  expect(second.since).toEqual(at(2));
  second.answer(page(3, 3));
  await vi.waitFor(() => expect(seen.offsets()).toEqual([1, 2, 3]), WAIT);
  channel.entry(entry(4));
  expect(seen.offsets()).toEqual([1, 2, 3, 4]);
});

test("fills a hole in what is pushed before anything later is delivered", async () => {
  const { host, seen, channel } = await following(at(4));
  channel.entry(entry(5));
  channel.entry(entry(7));
  channel.entry(entry(8));
  expect(seen.offsets()).toEqual([5]);
  const read = await nextRead(host);
  expect(read.since).toEqual(at(5));
  read.answer(page(6, 8));
  await vi.waitFor(() => expect(seen.offsets()).toEqual([5, 6, 7, 8]), WAIT);
});

test("drops what was pushed already", async () => {
  const { seen, channel } = await following(at(4));
  for (const offset of [4, 5, 5, 3, 6]) channel.entry(entry(offset));
  expect(seen.offsets()).toEqual([5, 6]);
});

test("passes on why the log can't be followed, and goes on after the new head", async () => {
  const { host, seen, channel } = await following(at(4));
  channel.away();
  channel.subscribed(at(2, "other"));
  (await nextRead(host)).answer({ type: "unrecoverable", reason: "epoch", head: at(2, "other"), seq: 2 });
  await vi.waitFor(() => expect(seen.resets()).toEqual(["epoch"]), WAIT);
  channel.entry(entry(3));
  expect(seen.offsets()).toEqual([3]);
});

test("lets go of a page that was asked for on a connection that is gone", async () => {
  const { host, seen, channel } = await following(at(0));
  channel.away();
  channel.subscribed(at(1));
  const old = await nextRead(host);
  channel.away();
  channel.subscribed(at(2));
  const current = await nextRead(host, 2);
  old.answer(page(1, 1));
  current.answer(page(1, 2));
  await vi.waitFor(() => expect(seen.offsets()).toEqual([1, 2]), WAIT);
});

test("gives a subscriber up when the server does not answer in time, and leaves the channel", async () => {
  const host = new Host();
  const joining = new RemoteChannel("c", host).join(() => undefined);
  await expect(joining).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE", retryable: true });
  expect(host.calls).toEqual(["follow c", "leave c"]);
});

test("asks again for a channel that is refused to it after a reconnect", async () => {
  const { host, channel } = await following(at(1));
  channel.away();
  channel.refused(new BrokerError("BROKER_UNAVAILABLE"));
  await vi.waitFor(() => expect(host.calls).toEqual(["follow c", "follow c"]), WAIT);
});

test("tells its listeners from when to when entries may come late", async () => {
  const { host, channel } = await following(at(0));
  const told: string[] = [];
  const tell = (event: ChannelEvent) =>
    told.push(event.type === "entry" ? `${event.entry.offset}` : event.type);
  await channel.join(tell);
  channel.entry(entry(1));
  channel.entry(entry(3));
  (await nextRead(host)).answer(page(2, 3));
  await vi.waitFor(() => expect(told).toEqual(["subscribed", "1", "behind", "2", "3", "abreast"]), WAIT);
  told.splice(0);
  channel.away();
  channel.away();
  channel.subscribed(at(3));
  channel.away();
  channel.subscribed(at(2, "other"));
  (await nextRead(host, 2)).answer({ type: "unrecoverable", reason: "epoch", head: at(2, "other"), seq: 2 });
  await vi.waitFor(() => expect(told).toEqual(["behind", "abreast", "behind", "reset", "abreast"]), WAIT);
});

test("tells a listener that comes in from a position while the channel is behind", async () => {
  const { host, channel } = await following(at(4));
  const told: string[] = [];
  const joining = channel.join(
    (event) => told.push(event.type === "entry" ? `${event.entry.offset}` : event.type),
    { since: at(2) },
  );
  const read = await nextRead(host);
  channel.away();
  read.answer(page(3, 4));
  await joining;
  expect(told).toEqual(["subscribed", "3", "4", "behind"]);
  channel.subscribed(at(4));
  expect(told.at(-1)).toBe("abreast");
});

test("begins after what was pushed before its head was known, since other channels have gone on", async () => {
  const [host, seen] = [new Host(), record()];
  const channel = new RemoteChannel("c", host);
  const joining = channel.join(seen.listener);
  channel.subscribed(at(4), 6);
  (await nextRead(host)).answer(page(5, 6));
  await joining;
  expect(seen.events).toEqual([{ type: "subscribed", position: at(6) }]);
  channel.entry(entry(7));
  expect(seen.offsets()).toEqual([7]);
});
