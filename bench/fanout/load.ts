import { answerHarness } from "../child.ts";
import { percentile } from "../statistics.ts";
import type { LoadCalls } from "./calls.ts";
import { sharedClock } from "./payload.ts";
import { Subscriber } from "./subscriber.ts";

/** So that the server's accept queue never overflows. */
const CONNECTS_AT_ONCE = 50;

const subscribers: Subscriber[] = [];
let latencies = new Float64Array(0);
let noted = 0;
let isNoting = true;
/** Deliveries to all subscribers together: each takes its messages in order only, so the sum says when all have all. */
let deliveries = 0;
let failure: Error | undefined;
let waiting: { readonly deliveries: number; settle(): void } | undefined;

answerHarness<LoadCalls>({
  connect: async ({ port, dialect, clients }) => {
    for (let first = 0; first < clients; first += CONNECTS_AT_ONCE) {
      const count = Math.min(CONNECTS_AT_ONCE, clients - first);
      const group = Array.from({ length: count }, (_, index) =>
        Subscriber.connect(`client ${first + index}`, { port, dialect }, onDelivery, onFailure),
      );
      subscribers.push(...(await Promise.all(group)));
    }
  },

  received: async ({ next, timeoutMs }) => {
    const wanted = next * subscribers.length;
    if (!failure && deliveries < wanted) {
      const received = Promise.withResolvers<void>();
      const timer = setTimeout(received.resolve, timeoutMs);
      waiting = { deliveries: wanted, settle: received.resolve };
      await received.promise;
      clearTimeout(timer);
      waiting = undefined;
    }
    if (failure) throw failure;
    const behind = subscribers.find((subscriber) => subscriber.received < next);
    if (behind) {
      throw new Error(`${behind.name} has ${behind.received} of ${next} messages after ${timeoutMs} ms`);
    }
    if (deliveries > wanted) throw new Error(`${deliveries - wanted} deliveries came that nobody published`);
  },

  begin: ({ deliveries: count }) => {
    latencies = new Float64Array(count);
    noted = 0;
    isNoting = true;
  },

  note: (whether) => {
    isNoting = whether;
  },

  end: () => {
    if (noted !== latencies.length) throw new Error(`${noted} deliveries were noted, of ${latencies.length}`);
    return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
  },
});

function onDelivery(sentAt: number): void {
  if (isNoting && noted < latencies.length) latencies[noted++] = sharedClock() - sentAt;
  deliveries++;
  if (waiting && deliveries >= waiting.deliveries) waiting.settle();
}

function onFailure(error: Error): void {
  failure ??= error;
  waiting?.settle();
}
