import type { BrokerError } from "@holdfast/broker";
import type { Command } from "./command-link.ts";
import type { Reply } from "./connection.ts";

/** What becomes known of the servers. */
export interface RouterHost {
  /** All servers can be reached. */
  available(): void;
  unavailable(error: BrokerError): void;
  /** Partitions are on a server that was not theirs before, or that was started again: what it holds may be older. */
  moved(partitions: readonly number[]): void;
  /** The server announces what happens on these channels from now on. */
  following(channels: readonly string[]): void;
  /** It no longer does; it will again. */
  away(channels: readonly string[]): void;
  /** @param message is part of what was read. */
  message(channel: string, message: Buffer): void;
}

/** Where partitions are: on one server, or on the primaries of a cluster. */
export interface Router {
  readonly partitions: number;
  /** Announcements go by SPUBLISH, to the partition's own server only. */
  readonly sharded: boolean;
  /** @throws as `CommandLink.run`, but never an error that says where the partition is */
  run(partition: number, command: Command): Promise<Reply>;
  /** Has a PUB/SUB channel of a partition announced. Of one turn of the event loop they go together. */
  follow(partition: number, channel: string): void;
  unfollow(partition: number, channel: string): void;
  /**
   * Resolves once everything that was announced before has come. Absent where channels have no order among them. Rejects
   * where that can't be known, since a connection was lost.
   */
  fence?(): Promise<void>;
  /** Whether the channel is announced now. */
  isFollowing(channel: string): boolean;
  close(error: BrokerError): void;
}
