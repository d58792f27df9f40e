/** What a hub has done since it was made. Plain numbers, so that counting costs nothing and anybody can export them. */
export interface HubCounters {
  /** Channels followed now. */
  channels: number;
  /** Subscribers of this node now, those on their way in included. */
  members: number;
  /** Channels' outlets that were asked for with `follow`, now. */
  followings: number;
  /** Entries that the broker delivered, once each whatever number of subscribers there were. */
  entries: number;
  /** Entries that the broker delivered although an equal or later one was delivered before; they went no further. */
  stale: number;
  /** Events held back while a channel was behind the others. */
  held: number;
  /** Times that so much was held back, or so long, that it was handed out although a channel was behind. */
  gaveWay: number;
  /** Entries handed out after one with a greater `seq`, on a broker with one sequence. */
  late: number;
  /** Subscribers that came without a cursor. */
  joined: number;
  /** Subscribers whose cursor was continued from. */
  recovered: number;
  /** Subscribers whose cursor was refused. */
  refused: number;
  /** Entries read from the log for resumes. */
  caughtUp: number;
  /** Reads of the log. */
  reads: number;
  /** Reads that took part in one that was asked for before. */
  sharedReads: number;
  /** Times that entries were lost to a followed channel. */
  resets: number;
  /** Calls that the broker rejected. */
  brokerErrors: number;
}

export function zeroCounters(): HubCounters {
  return {
    channels: 0,
    members: 0,
    followings: 0,
    entries: 0,
    stale: 0,
    held: 0,
    gaveWay: 0,
    late: 0,
    joined: 0,
    recovered: 0,
    refused: 0,
    caughtUp: 0,
    reads: 0,
    sharedReads: 0,
    resets: 0,
    brokerErrors: 0,
  };
}
