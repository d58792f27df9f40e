import { createHash } from "node:crypto";

/** How streams and subjects are called: the channels of one prefix are spread over its partitions by their names. */
export class Subjects {
  readonly prefix: string;
  readonly partitions: number;

  constructor(prefix: string, partitions: number) {
    this.prefix = prefix;
    this.partitions = partitions;
  }

  partitionOf(channel: string): number {
    if (this.partitions === 1) return 0;
    // FNV-1a: the same in every version, since it decides where a channel's log is.
    let hash = 0x811c9dc5;
    for (let n = 0; n < channel.length; n++) hash = Math.imul(hash ^ channel.charCodeAt(n), 0x01000193);
    return (hash >>> 0) % this.partitions;
  }

  stream(partition: number): string {
    return `${this.prefix}-log-${partition}`;
  }

  streamOf(channel: string): string {
    return this.stream(this.partitionOf(channel));
  }

  /** Where a channel's records are written. */
  log(channel: string): string {
    return `${this.prefix}.log.${this.partitionOf(channel)}.${tokenOf(channel)}`;
  }

  /** Written behind what may be on its way to a partition's stream: no channel has a dollar sign in its name. */
  logMark(partition: number): string {
    return `${this.prefix}.log.${partition}.$mark`;
  }

  /** What a partition's stream holds. */
  logs(partition: number): string {
    return `${this.prefix}.log.${partition}.*`;
  }

  /** Where a stored record is told of. The stream's own transform writes it, from the token of the subject it is stored at. */
  live(partition: number): string {
    return `${this.prefix}.live.${partition}.{{wildcard(1)}}.e`;
  }

  /** What a node that follows a channel subscribes to: its stored records, and its volatile messages. */
  following(channel: string): string {
    return `${this.prefix}.live.${this.partitionOf(channel)}.${tokenOf(channel)}.*`;
  }

  volatile(channel: string): string {
    return `${this.prefix}.live.${this.partitionOf(channel)}.${tokenOf(channel)}.v`;
  }

  keyStream(partition: number): string {
    return `${this.prefix}-keys-${partition}`;
  }

  keyStreamOf(channel: string): string {
    return this.keyStream(this.partitionOf(channel));
  }

  /** As `logMark`. */
  keyMark(partition: number): string {
    return `${this.prefix}.key.${partition}.$mark`;
  }

  keys(partition: number): string {
    return `${this.prefix}.key.${partition}.*`;
  }

  key(channel: string, key: string): string {
    return `${this.prefix}.key.${this.partitionOf(channel)}.${keyHash(channel, key)}`;
  }

  get leaseStream(): string {
    return `${this.prefix}-leases`;
  }

  get leases(): string {
    return `${this.prefix}.lease.>`;
  }

  /** As `logMark`. */
  get leaseOrder(): string {
    return `${this.prefix}.lease.$mark`;
  }

  /** Written to find out how far the lease table has come. */
  get leaseMark(): string {
    return `${this.prefix}.lease.m`;
  }

  /** Written to find out what the server's time is. */
  get clock(): string {
    return `${this.prefix}.lease.c`;
  }

  leaseOwner(owner: string): string {
    return `${this.prefix}.lease.o.${tokenOf(owner)}`;
  }

  lease(group: string, key: string): string {
    return `${this.prefix}.lease.l.${tokenOf(group)}.${tokenOf(key)}`;
  }
}

/** An idempotency key counts in its channel only, and may hold any characters. */
function keyHash(channel: string, key: string): string {
  return createHash("sha256").update(`${channel}\u0000${key}`).digest("base64url");
}

/**
 * The message id of whatever comes next after the message at `expected` of a subject. Servers before 2.10 with several replicas compare
 * the expected sequence before a write is agreed on only, so two writes at the same time can both pass; their message ids are the same then,
 * and the leader takes one of them.
 *
 * @param variant empty, but where the server takes that id for taken and it is not
 */
export function successorId(subject: string, expected: number, variant: string): string {
  const place = variant === "" ? `${expected}` : `${expected}\0${variant}`;
  return createHash("sha256").update(`${subject}\0${place}`).digest("base64url");
}

/** A name as one token of a subject: only its dots have a meaning there, and a name has no percent sign. */
function tokenOf(name: string): string {
  return name.replaceAll(".", "%");
}
