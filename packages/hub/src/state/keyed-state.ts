import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Broker, ChannelEvent, Entry, Position, Retention, Subscription } from "@holdfast/broker";
import { HubError } from "../errors.ts";
import { decodeStateEntry, encodeStateEntry, type StateEntry } from "./state-entry.ts";
import type { StateEvent } from "./state-events.ts";
import { type ReadState, readState } from "./state-log.ts";
import { StatePairs } from "./state-pairs.ts";

export interface KeyedStateOptions {
  /** Told all that holds, before `open` resolves, and then each change; must neither block nor throw. */
  readonly onEvent?: (event: StateEvent) => void;
  /** Entries between two snapshots of the whole in the log. 1 to 10,000; default 256. */
  readonly snapshotEvery?: number;
  /** Keys that it may have. Default 1,000. */
  readonly maxKeys?: number;
  /** Bytes that its snapshot may have. Default 256 KiB, at most 900 KiB. */
  readonly maxBytes?: number;
}

const DEFAULTS = { onEvent: () => {}, snapshotEvery: 256, maxKeys: 1_000, maxBytes: 262_144 };
const RANGES = { snapshotEvery: [1, 10_000], maxKeys: [1, 100_000], maxBytes: [1_024, 921_600] } as const;
const DAY_MS = 24 * 3_600_000;
/** A quiet state's snapshot is written again after so long, since logs that nobody writes to are forgotten in the end. */
const REFRESH_MS = DAY_MS;
const RETRY_MS = 200;
const PREFIX = "holdfast:state:";
const MAX_NAME = 200;

/**
 * Values by key that belong to a channel, the same on all nodes: the last one that was set, in the order of a log of its own.
 *
 * Who opens it is given all that holds, and then every change, with no seam. Every so many changes, and once a day, the
 * whole is written into the log, so that little has to be read; it is kept for 7 days after the last node that had it open
 * has closed it, or for as long as the engine remembers an unused channel, which may be shorter.
 */
export class KeyedState {
  readonly channel: string;
  readonly #broker: Broker;
  readonly #settings: Required<KeyedStateOptions>;
  readonly #log: string;
  readonly #retention: Retention;
  readonly #refresh: NodeJS.Timeout;
  #pairs = new StatePairs();
  #complete = true;
  #last: Position = { epoch: "", offset: 0, tag: "" };
  #sinceSnapshot = 0;
  #subscription: Subscription | undefined;
  #writing = false;
  #reloading = false;
  #closed = false;

  private constructor(broker: Broker, channel: string, settings: Required<KeyedStateOptions>) {
    this.channel = channel;
    this.#broker = broker;
    this.#settings = settings;
    this.#log = logOf(channel);
    this.#retention = { maxEntries: settings.snapshotEvery * 4 + 1_000, maxAgeMs: 7 * DAY_MS };
    this.#refresh = setInterval(() => void this.#writeSnapshot(), REFRESH_MS * (0.75 + Math.random() / 4));
    this.#refresh.unref();
  }

  /** @throws HubError `HUB_OPTION_INVALID`; BrokerError as `Broker.history` and `Broker.subscribe` do */
  static async open(broker: Broker, channel: string, options: KeyedStateOptions = {}): Promise<KeyedState> {
    const state = new KeyedState(broker, channel, readStateOptions(options));
    try {
      await state.#load();
    } catch (error) {
      await state.close();
      throw error;
    }
    return state;
  }

  /** What holds now, as far as this node was told. */
  get pairs(): ReadonlyMap<string, unknown> {
    return this.#pairs.values;
  }

  get(key: string): unknown {
    return this.#pairs.values.get(key);
  }

  /**
   * Sets a key to a JSON value. Resolves when the log has it; `pairs` shows it once it has come back, in its place among the
   * others' changes.
   *
   * @param idempotencyKey a second call with the same one changes nothing
   * @throws HubError `STATE_INVALID`, `STATE_FULL`, `HUB_CLOSED`; BrokerError as `Broker.publish` does
   */
  async set(key: string, value: unknown, idempotencyKey?: string): Promise<void> {
    const data = encodeStateEntry({ type: "set", key, value });
    const { values, bytes } = this.#pairs;
    if (values.size >= this.#settings.maxKeys && !values.has(key))
      throw new HubError("STATE_FULL", `it has ${values.size} keys`);
    if (bytes + data.length > this.#settings.maxBytes)
      throw new HubError("STATE_FULL", `with it, it would have more than ${this.#settings.maxBytes} bytes`);
    await this.#publish(data, idempotencyKey);
  }

  /** Removes a key. Resolves and throws as `set`. */
  async delete(key: string, idempotencyKey?: string): Promise<void> {
    await this.#publish(encodeStateEntry({ type: "delete", key }), idempotencyKey);
  }

  /** Nothing is told any more; what was set stays. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#refresh);
    await this.#subscription?.close();
  }

  async #publish(data: Uint8Array, idempotencyKey: string | undefined): Promise<void> {
    if (this.#closed) throw new HubError("HUB_CLOSED");
    const { position } = await this.#broker.publish(this.#log, data, {
      retention: this.#retention,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    });
    // Whoever's change fills the measure writes the snapshot, so that not all nodes do.
    if (position.offset % this.#settings.snapshotEvery === 0) await this.#writeSnapshot();
  }

  /** Best effort: what fails here is made up for by the next one. */
  async #writeSnapshot(): Promise<void> {
    if (this.#closed || this.#writing || this.#sinceSnapshot === 0 || this.#reloading) return;
    this.#writing = true;
    const { epoch, offset } = this.#last;
    try {
      const data = encodeStateEntry({
        type: "snapshot",
        offset,
        pairs: [...this.#pairs.values],
        complete: this.#complete,
      });
      const idempotencyKey = `snapshot ${epoch} ${offset}`;
      await this.#broker.publish(this.#log, data, { retention: this.#retention, idempotencyKey });
    } catch {
      // The entries before it are still there.
    } finally {
      this.#writing = false;
    }
  }

  /** Reads what holds and follows on from there; again where the log has moved past what was read. */
  async #load(): Promise<void> {
    for (;;) {
      const state = await readState(this.#broker, this.#log);
      if (this.#closed) return;
      const early: Entry[] = [];
      let isFollowing = false;
      let isLost = false;
      const subscription = await this.#broker.subscribe(
        this.#log,
        (event) => {
          if (isFollowing) this.#on(event);
          else if (event.type === "entry") early.push(event.entry);
          else if (event.type === "reset") isLost = true;
        },
        { since: state.head },
      );
      if (isLost || this.#closed) {
        await subscription.close();
        if (this.#closed) return;
        continue;
      }
      this.#subscription = subscription;
      this.#begin(state);
      for (const entry of early) this.#take(entry);
      isFollowing = true;
      return;
    }
  }

  #begin({ pairs, head, sinceSnapshot, complete }: ReadState): void {
    this.#pairs = pairs;
    this.#complete = complete;
    this.#last = head;
    this.#sinceSnapshot = sinceSnapshot;
    this.#settings.onEvent({ type: "snapshot", pairs: new Map(pairs.values), complete });
  }

  #on(event: ChannelEvent): void {
    if (this.#closed) return;
    if (event.type === "entry") this.#take(event.entry);
    else if (event.type === "reset") void this.#reload();
  }

  #take(entry: Entry): void {
    this.#last = { epoch: this.#last.epoch, offset: entry.offset, tag: entry.tag };
    this.#sinceSnapshot++;
    const read: StateEntry | undefined = decodeStateEntry(entry);
    if (read?.type === "snapshot") this.#sinceSnapshot = entry.offset - read.offset;
    else if (this.#pairs.apply(read) && read) {
      if (read.type === "set") this.#settings.onEvent({ type: "set", key: read.key, value: read.value });
      else this.#settings.onEvent({ type: "deleted", key: read.key });
    }
  }

  async #reload(): Promise<void> {
    if (this.#reloading) return;
    this.#reloading = true;
    const old = this.#subscription;
    this.#subscription = undefined;
    await old?.close().catch(() => undefined);
    while (!this.#closed) {
      try {
        await this.#load();
        break;
      } catch {
        await pause(RETRY_MS, undefined, { ref: false });
      }
    }
    this.#reloading = false;
  }
}

function readStateOptions(options: KeyedStateOptions): Required<KeyedStateOptions> {
  for (const key of Object.keys(options))
    if (!Object.hasOwn(DEFAULTS, key)) throw new HubError("HUB_OPTION_INVALID", key);
  const settings = { ...DEFAULTS, ...options };
  for (const [key, [low, high]] of Object.entries(RANGES)) {
    const value = settings[key as keyof typeof RANGES];
    if (!Number.isInteger(value) || value < low || value > high)
      throw new HubError("HUB_OPTION_INVALID", `${key} must be a whole number from ${low} to ${high}`);
  }
  return settings;
}

function logOf(channel: string): string {
  const log = `${PREFIX}${channel}`;
  return log.length <= MAX_NAME
    ? log
    : `${PREFIX}${createHash("sha256").update(channel).digest("base64url")}`;
}
