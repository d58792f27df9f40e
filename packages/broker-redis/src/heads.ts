import type { Position } from "@holdfast/broker";
import { randomText } from "@holdfast/broker/engine";
import { repeatable } from "./command-link.ts";
import type { Argument, Reply } from "./connection.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import { EPOCH_CHARACTERS, HEADS } from "./log-scripts.ts";
import type { RedisSettings } from "./options.ts";
import type { Partitions } from "./partitions.ts";
import { brokerError } from "./redis-error.ts";
import type { Router } from "./router.ts";
import type { Seqs } from "./seqs.ts";
import type { Witness } from "./witness.ts";

/** A channel and what was seen last in it, if anything. */
type Sighting = readonly [channel: string, seen: Position | undefined];

/** Channels in one look at their heads. */
const HEADS_PER_CALL = 500;

/**
 * Looks at where logs end: so a followed channel learns how far to read, and a server learns what was seen of its logs
 * elsewhere, where it may have lost that.
 */
export class Heads {
  readonly #settings: RedisSettings;
  readonly #router: Router;
  readonly #partitions: Partitions;
  readonly #seqs: Seqs;
  readonly #isFollowed: (followed: FollowedChannel) => boolean;
  /** Channels whose heads are looked at in the next turn of the event loop. */
  readonly #toCheck = new Set<FollowedChannel>();

  constructor(
    settings: RedisSettings,
    router: Router,
    partitions: Partitions,
    seqs: Seqs,
    isFollowed: (followed: FollowedChannel) => boolean,
  ) {
    this.#settings = settings;
    this.#router = router;
    this.#partitions = partitions;
    this.#seqs = seqs;
    this.#isFollowed = isFollowed;
  }

  /** Heads are looked at together with those of other channels that ask for it in this turn of the event loop. */
  check(followed: FollowedChannel): void {
    if (this.#toCheck.size === 0) process.nextTick(() => this.#checkHeads());
    this.#toCheck.add(followed);
  }

  /** It is followed no longer. */
  forget(followed: FollowedChannel): void {
    this.#toCheck.delete(followed);
  }

  /** Tells partitions' servers how far seqs have come. Where it fails, those who publish say it too. */
  tellSeqs(partitions: readonly number[]): void {
    for (const partition of partitions) this.#read(partition, []).catch(() => undefined);
  }

  /** Another server answers now: if it does not have what was accepted here, all have to know. */
  async testify(witness: Witness): Promise<void> {
    const parts = Map.groupBy(witness.doubt(), ([name]) => this.#partitions.of(name));
    for (const [partition, all] of parts)
      for (let from = 0; from < all.length; from += HEADS_PER_CALL)
        try {
          const part = all.slice(from, from + HEADS_PER_CALL);
          await this.#read(partition, part);
          witness.compared(part);
        } catch {
          // The server is away again; the next one is asked.
          return;
        }
  }

  #checkHeads(): void {
    const parts = Map.groupBy(this.#toCheck, ({ name }) => this.#partitions.of(name));
    this.#toCheck.clear();
    for (const [partition, all] of parts)
      for (let from = 0; from < all.length; from += HEADS_PER_CALL)
        void this.#checkPart(partition, all.slice(from, from + HEADS_PER_CALL));
  }

  async #checkPart(partition: number, part: readonly FollowedChannel[]): Promise<void> {
    const rounds = part.map((followed) => followed.begin());
    try {
      const heads = await this.#read(
        partition,
        part.map(({ name, position }) => [name, position]),
      );
      for (const [n, followed] of part.entries())
        if (followed.told(heads[n] as Position, rounds[n] as number) === "check") this.check(followed);
    } catch (error) {
      for (const [n, followed] of part.entries())
        if (this.#isFollowed(followed)) followed.failed(brokerError(error), rounds[n] as number);
    }
  }

  async #read(partition: number, channels: readonly Sighting[]): Promise<readonly Position[]> {
    const { maxAgeMs, forgetChannelAfterMs, requestMs } = this.#settings;
    const args: Argument[] = [];
    for (const [name, seen] of channels)
      args.push(name, seen?.epoch ?? "", seen?.offset ?? 0, seen?.tag ?? "");
    const deadline = performance.now() + requestMs;
    const names = channels.map(([name]) => name);
    const keys = this.#partitions.keysOf(partition, names);
    const attempt = () => {
      const head = [
        this.#router.sharded ? 1 : 0,
        randomText(EPOCH_CHARACTERS),
        maxAgeMs,
        forgetChannelAfterMs,
      ];
      return HEADS.call(keys, [...head, this.#seqs.of(partition), ...args]);
    };
    return positionsOf(await this.#router.run(partition, repeatable(attempt, deadline)));
  }
}

function positionsOf(reply: Reply): Position[] {
  const values = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
  return Array.from({ length: values.length / 3 }, (_, n) => ({
    epoch: String(values[n * 3]),
    offset: Number(values[n * 3 + 1]),
    tag: String(values[n * 3 + 2]),
  }));
}
