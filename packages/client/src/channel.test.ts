import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Channel } from "./channel.ts";
import type { ClientError } from "./errors.ts";
import type { Link } from "./link.ts";
import type { SubscribeAnswer, SubscribeRequest } from "./wire.ts";

/** The connection as a channel sees it, answered by the test. */
class TestLink implements Link {
  connected = true;
  readonly requests: SubscribeRequest[] = [];
  readonly answers: ((answer: SubscribeAnswer | undefined) => void)[] = [];
  readonly unsubscribed: string[] = [];
  readonly reported: ClientError[] = [];

  subscribe(request: SubscribeRequest, onAnswer: (answer: SubscribeAnswer | undefined) => void): void {
    this.requests.push(request);
    this.answers.push(onAnswer);
  }

  unsubscribe(channel: string): void {
    this.unsubscribed.push(channel);
  }

  report(error: ClientError): void {
    this.reported.push(error);
  }

  answer(recovered: boolean, offset: number, head = offset, epoch = "e"): void {
    this.answers.at(-1)?.({ ok: true, recovered, epoch, offset, tag: `t${offset}`, head });
  }
}

let link: TestLink;
let channel: Channel;
let seen: unknown[];

beforeEach(() => {
  vi.useFakeTimers();
  link = new TestLink();
  channel = new Channel("c", link, 3);
  seen = [];
  channel.on("message", ({ data }) => seen.push(data));
});
afterEach(() => {
  channel.close();
  vi.useRealTimers();
});

const entry = (offset: number) => channel.entry(offset, `t${offset}`, "n", offset);

it("moves its cursor before it calls the application", () => {
  const cursors: unknown[] = [];
  channel.on("message", ({ cursor }) => cursors.push([cursor, channel.cursor]));
  void channel.subscribe();
  link.answer(false, 4);
  entry(5);
  expect(cursors).toEqual([["1.e.5.t5", "1.e.5.t5"]]);
});

it("drops duplicates, and asks again with its cursor when something is missing", () => {
  void channel.subscribe();
  link.answer(false, 0);
  for (const offset of [1, 1, 2, 1, 4, 5, 6]) entry(offset);
  expect(seen).toEqual([1, 2]);
  expect(link.requests).toEqual([{ channel: "c" }, { channel: "c", cursor: "1.e.2.t2" }]);
  link.answer(true, 2, 6);
  for (const offset of [3, 4, 5, 6]) entry(offset);
  expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
});

it("does not ask without a pause for what asking did not bring", () => {
  void channel.subscribe();
  link.answer(false, 0);
  entry(5);
  link.answer(true, 0, 5);
  entry(5);
  expect(link.requests).toHaveLength(2);
  vi.advanceTimersByTime(2_000);
  expect(link.requests).toHaveLength(3);
});

it("resumes with its cursor on every connection, and ignores answers of an earlier one", () => {
  void channel.subscribe();
  link.answer(false, 0);
  entry(1);
  channel.disconnected();
  channel.connected();
  const late = link.answers.at(-1);
  channel.disconnected();
  channel.connected();
  late?.({ ok: true, recovered: false, epoch: "other", offset: 90, tag: "x", head: 90 });
  expect(channel.cursor).toBe("1.e.1.t1");
  link.answer(true, 1, 3);
  entry(2);
  expect(link.requests.at(-1)).toEqual({ channel: "c", cursor: "1.e.1.t1" });
  expect(seen).toEqual([1, 2]);
});

it("keeps entries that came between a new request and its answer", () => {
  void channel.subscribe();
  link.answer(false, 0);
  entry(1);
  entry(3);
  entry(2);
  link.answer(true, 1, 3);
  entry(2);
  entry(3);
  expect(seen).toEqual([1, 2, 3]);
});

it("says how many it missed, and when it has them all", () => {
  const told: unknown[] = [];
  channel.on("subscribed", (subscribed) => told.push(subscribed));
  channel.on("recovered", (recovered) => told.push(recovered));
  void channel.subscribe({ cursor: "1.e.4.t4" });
  link.answer(true, 4, 6);
  entry(5);
  expect(told).toEqual([{ recovered: true, missed: 2 }]);
  entry(6);
  expect(told.at(-1)).toEqual({ count: 2 });
  channel.disconnected();
  channel.connected();
  link.answer(true, 6);
  expect(told.slice(2)).toEqual([{ recovered: true, missed: 0 }, { count: 0 }]);
});

it("tries again with growing pauses while the server can't, and stops where that is of no use", async () => {
  const subscribed = channel.subscribe();
  link.answers.at(-1)?.(undefined);
  vi.advanceTimersByTime(1_000);
  link.answers.at(-1)?.({ ok: false, error: { code: "BROKER_UNAVAILABLE", message: "", retryable: true } });
  expect(link.requests).toHaveLength(2);
  vi.advanceTimersByTime(1_000);
  expect(link.requests).toHaveLength(3);
  const errors: unknown[] = [];
  channel.on("error", (error) => errors.push([error.code, error.serverCode]));
  link.answers.at(-1)?.({ ok: false, error: { code: "CHANNEL_INVALID", message: "no", retryable: false } });
  await expect(subscribed).rejects.toMatchObject({ code: "SUBSCRIBE_REFUSED" });
  vi.advanceTimersByTime(60_000);
  expect(link.requests).toHaveLength(3);
  expect(errors).toEqual([["SUBSCRIBE_REFUSED", "CHANNEL_INVALID"]]);
});

it("subscribes again when the server ended the subscription", () => {
  void channel.subscribe();
  link.answer(false, 7);
  channel.ended({ code: "BROKER_UNAVAILABLE", message: "", retryable: true });
  vi.advanceTimersByTime(1_000);
  expect(link.requests.at(-1)).toEqual({ channel: "c", cursor: "1.e.7.t7" });
});

it("delivers nothing after unsubscribe, nor by an answer that comes late", () => {
  void channel.subscribe();
  link.answer(false, 0);
  channel.unsubscribe();
  entry(1);
  void channel.subscribe();
  const late = link.answers.at(-1);
  channel.unsubscribe();
  late?.({ ok: true, recovered: false, epoch: "e", offset: 0, tag: "", head: 0 });
  entry(1);
  expect(seen).toEqual([]);
  expect(link.unsubscribed).toEqual(["c", "c"]);
});

it("takes nothing from an answer or an entry that is not of the protocol", () => {
  void channel.subscribe();
  link.answers.at(-1)?.({ ok: true, recovered: true, epoch: 5, offset: "1", tag: null, head: 0 } as never);
  expect(link.reported.map((error) => error.code)).toEqual(["ANSWER_INVALID"]);
  vi.advanceTimersByTime(1_000);
  link.answer(false, 0);
  channel.entry("1", "t", "n", 1);
  channel.entry(1, 5, "n", 1);
  channel.entry(1, "t", {}, 1);
  channel.entry(1.5, "t", "n", 1);
  channel.reset({ epoch: 1 } as never);
  expect(seen).toEqual([]);
  entry(1);
  expect(seen).toEqual([1]);
});

describe("getState", () => {
  it("is called where messages can't simply be continued, and messages wait for it", async () => {
    const reasons: string[] = [];
    let done = () => {};
    const getState = (reason: string) => {
      reasons.push(reason);
      return new Promise<void>((resolve) => {
        done = resolve;
      });
    };
    void channel.subscribe({ getState });
    link.answer(false, 0);
    await vi.advanceTimersByTimeAsync(0);
    entry(1);
    entry(2);
    expect([reasons, seen]).toEqual([["start"], []]);
    expect(channel.cursor).toBe("1.e.0.t0");
    done();
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual([1, 2]);

    const resets: unknown[] = [];
    channel.on("reset", (reset) => resets.push(reset));
    channel.reset({ epoch: "f", offset: 0, tag: "", reason: "epoch" });
    await vi.advanceTimersByTimeAsync(0);
    entry(1);
    done();
    await vi.advanceTimersByTimeAsync(0);
    expect([reasons, seen, resets]).toEqual([["start", "reset"], [1, 2, 1], [{ reason: "epoch" }]]);
    expect(channel.cursor).toBe("1.f.1.t1");
  });

  it("may take long: what does not fit while it runs is read from the log after", async () => {
    let done = () => {};
    void channel.subscribe({ getState: () => new Promise<void>((resolve) => (done = resolve)) });
    link.answer(false, 0);
    await vi.advanceTimersByTimeAsync(0);
    for (let offset = 1; offset <= 8; offset++) entry(offset);
    expect(link.requests).toHaveLength(1);
    done();
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual([1, 2, 3]);
    expect(link.requests.at(-1)).toEqual({ channel: "c", cursor: "1.e.3.t3" });
    link.answer(true, 3, 8);
    for (let offset = 4; offset <= 8; offset++) entry(offset);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("may fail: the error is told and messages go on", async () => {
    void channel.subscribe({ getState: () => Promise.reject(new Error("the application's own")) });
    link.answer(false, 0);
    entry(1);
    await vi.advanceTimersByTimeAsync(0);
    expect(link.reported.map((error) => error.code)).toEqual(["STATE_FAILED"]);
    expect(seen).toEqual([1]);
  });
});

it("hands on what is of the moment while it is subscribed, and moves no cursor", () => {
  const moments: unknown[] = [];
  channel.on("volatile", (moment) => moments.push(moment));
  channel.volatile("typing", 1);
  void channel.subscribe();
  channel.volatile("typing", 2);
  link.answer(false, 4);
  channel.volatile("typing", 3);
  channel.volatile(5, 4);
  expect(moments).toEqual([{ event: "typing", data: 3 }]);
  expect(channel.cursor).toBe("1.e.4.t4");
  channel.unsubscribe();
  channel.volatile("typing", 6);
  expect(moments).toHaveLength(1);
});
