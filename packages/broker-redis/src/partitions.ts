/** Which partition a channel is in, and how its keys begin. A partition's keys share a hash tag, so they are in one slot. */
export class Partitions {
  readonly keys: readonly string[];

  constructor(prefix: string, count: number) {
    this.keys = Array.from({ length: count }, (_, n) => partitionKey(prefix, n));
  }

  /** The same in every process and version: it says where a channel's log is. */
  of(channel: string): number {
    return this.keys.length === 1 ? 0 : fnv1a(channel) % this.keys.length;
  }

  keyOf(partition: number): string {
    return this.keys[partition] ?? "";
  }

  /** The keys that a script on these channels uses, and on these idempotency keys; see `Script.call`. */
  keysOf(
    partition: number,
    channels: Iterable<string>,
    keyed: Iterable<{ readonly channel: string; readonly idempotencyKey: string }> = [],
  ): string[] {
    const key = this.keyOf(partition);
    if (this.keys.length === 1) return [key];
    const keys = [key];
    for (const channel of channels) keys.push(`${key}m ${channel}`, `${key}s ${channel}`);
    for (const { channel, idempotencyKey } of keyed) keys.push(`${key}i ${channel} ${idempotencyKey}`);
    return keys;
  }

  /** The PUB/SUB channel that tells what happens in a channel. */
  announcementsOf(partition: number, channel: string): string {
    return `${this.keys[partition]}c ${channel}`;
  }

  /** The other way round; undefined when it is another kind of PUB/SUB channel. */
  channelOf(announcements: string): string | undefined {
    const brace = announcements.indexOf("}");
    return announcements.startsWith("c ", brace + 1) ? announcements.slice(brace + 3) : undefined;
  }
}

/** What all keys of a partition begin with: a hash tag. */
export function partitionKey(prefix: string, partition: number): string {
  return `{${prefix}:${partition}}`;
}

/** FNV-1a, 32 bits (draft-eastlake-fnv), with a last mix, since its low bits alone are not even. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < text.length; n++) hash = Math.imul(hash ^ text.charCodeAt(n), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
