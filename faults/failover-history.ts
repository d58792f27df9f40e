import type { ChannelEvent, Entry, Position } from "@holdfast/broker";

/** What a log holds in the end: the truth about what was kept. */
export interface FinalLog {
  readonly epoch: string;
  /** From offset 1 on. */
  readonly entries: readonly Entry[];
}

export interface Acceptance {
  readonly channel: string;
  readonly id: string;
  readonly position: Position;
}

/** One subscriber of a channel, whatever node it is on. */
export class Witnessed {
  readonly name: string;
  readonly channel: string;
  /** Where it would go on from. */
  position: Position | undefined;
  resets = 0;
  /** What it was given since it was told last that something was lost; and everything, by offset and tag. */
  #since: Entry[] = [];
  readonly #given = new Set<string>();
  readonly #violations: string[] = [];

  constructor(name: string, channel: string) {
    this.name = name;
    this.channel = channel;
  }

  get deliveries(): number {
    return this.#given.size;
  }

  take(event: ChannelEvent): void {
    const at = this.position;
    if (event.type === "subscribed") {
      if (at && !isSame(at, event.position))
        this.#violated(`goes on from ${show(event.position)}, not ${show(at)}`);
      this.position = event.position;
    } else if (event.type === "reset") {
      this.position = event.head;
      this.resets++;
      this.#since = [];
    } else if (event.type === "entry") {
      const { offset, tag } = event.entry;
      if (offset !== (at?.offset ?? 0) + 1) this.#violated(`was given ${offset} after ${at?.offset}`);
      if (this.#given.has(keyOf(event.entry))) this.#violated(`was given ${offset} twice`);
      this.#given.add(keyOf(event.entry));
      this.#since.push(event.entry);
      this.position = { epoch: at?.epoch ?? "", offset, tag };
    }
  }

  /** Whether it has come to the end of this log. */
  isAt({ epoch, entries }: FinalLog): boolean {
    const last = entries.at(-1);
    return isSame(this.position, { epoch, offset: last?.offset ?? 0, tag: last?.tag ?? "" });
  }

  violations({ entries }: FinalLog): string[] {
    const found = [...this.#violations];
    const ids = new Set<string>();
    for (const entry of this.#since) {
      const kept = entries[entry.offset - 1];
      if (!kept || keyOf(kept) !== keyOf(entry))
        found.push(
          `${this.#who} was given ${entry.offset} (${idOf(entry)}), which is lost, and was not told`,
        );
      if (ids.has(idOf(entry))) found.push(`${this.#who} was given ${idOf(entry)} twice`);
      ids.add(idOf(entry));
    }
    return found;
  }

  /** Every entry that it was given, as `OFFSET TAG ID`. */
  given(): Iterable<string> {
    return this.#given;
  }

  get #who(): string {
    return `${this.name} in ${this.channel}`;
  }

  #violated(what: string): void {
    this.#violations.push(`${this.#who} ${what}`);
  }
}

/** Those of the accepted that the log does not hold. */
export function lostOf(accepted: readonly Acceptance[], logs: ReadonlyMap<string, FinalLog>): Acceptance[] {
  return accepted.filter(({ channel, id, position }) => {
    const entry = logs.get(channel)?.entries[position.offset - 1];
    return !entry || keyOf(entry) !== `${position.offset} ${position.tag} ${id}`;
  });
}

/**
 * What nobody may see, whoever it is that looks: an entry at two places, one that is told to have been lost to nobody
 * though its publisher lives, a log with a hole.
 */
export function commonViolations(
  witnesses: readonly Witnessed[],
  lost: readonly Acceptance[],
  logs: ReadonlyMap<string, FinalLog>,
): string[] {
  const found: string[] = [];
  const places = new Map<string, string>();
  const place = (channel: string, key: string) => {
    const [offset = "", tag, id] = key.split(" ");
    const before = places.get(`${channel} ${tag} ${id}`) ?? offset;
    if (before !== offset) found.push(`${id} of ${channel} was seen at ${before} and at ${offset}`);
    places.set(`${channel} ${tag} ${id}`, offset);
  };
  for (const witness of witnesses) for (const key of witness.given()) place(witness.channel, key);
  for (const [channel, { entries }] of logs)
    for (const [n, entry] of entries.entries()) {
      place(channel, keyOf(entry));
      if (entry.offset !== n + 1) found.push(`${channel} has ${entry.offset} where ${n + 1} should be`);
    }
  for (const { channel, id, position } of lost)
    if (position.epoch === logs.get(channel)?.epoch)
      found.push(`${id} at ${show(position)} of ${channel} is lost, and the epoch stayed`);
  return found;
}

function keyOf(entry: Entry): string {
  return `${entry.offset} ${entry.tag} ${idOf(entry)}`;
}

function idOf({ data }: Entry): string {
  return new TextDecoder().decode(data).trim();
}

function isSame(a: Position | undefined, b: Position): boolean {
  return a?.epoch === b.epoch && a.offset === b.offset && a.tag === b.tag;
}

function show({ epoch, offset, tag }: Position): string {
  return `${epoch}:${offset}:${tag}`;
}
