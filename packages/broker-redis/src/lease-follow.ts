import { setTimeout as pause } from "node:timers/promises";
import { BrokerError, type Lease, type LeaseEvent, type Subscription } from "@holdfast/broker";

export interface LeaseFollowHost {
  /** All leases of the group, and how many changes it has had. */
  list(): Promise<{ readonly count: number; readonly leases: readonly Lease[] }>;
  /** The last listener has left. */
  empty(): void;
  readonly onListenerError: (error: unknown) => void;
  /** How long a listener waits for its first picture. */
  readonly waitMs: number;
}

interface Change {
  readonly count: number;
  readonly event: Exclude<LeaseEvent, { readonly type: "leases" }>;
}

interface Member {
  readonly listener: (event: LeaseEvent) => void;
  resolve: ((subscription: Subscription) => void) | undefined;
  reject: (error: BrokerError) => void;
  timer: NodeJS.Timeout | undefined;
}

const RETRY_MS = 200;
/** Changes that are held while the list is read; past it the list is read once more instead. */
const MOST_HELD = 1000;

/**
 * One group of leases for its listeners in this process. Changes are numbered: where one was missed, and after the
 * connection was lost, all leases are told again.
 */
export class LeaseFollow {
  readonly #group: string;
  readonly #host: LeaseFollowHost;
  readonly #members = new Set<Member>();
  readonly #leases = new Map<string, Lease>();
  /** Changes up to this one are in the picture; undefined while there is none that can be gone on from. */
  #count: number | undefined;
  #held: Change[] = [];
  #announced = false;
  #round = 0;

  constructor(group: string, host: LeaseFollowHost) {
    this.#group = group;
    this.#host = host;
  }

  join(listener: (event: LeaseEvent) => void): Promise<Subscription> {
    return new Promise((resolve, reject) => {
      const member: Member = { listener, resolve, reject, timer: undefined };
      this.#members.add(member);
      const late = () => this.#reject(member, new BrokerError("BROKER_UNAVAILABLE", "No answer in time."));
      member.timer = setTimeout(late, this.#host.waitMs);
      if (this.#count !== undefined) this.#welcome(member);
    });
  }

  /** Changes are announced from now on. */
  following(): void {
    this.#announced = true;
    void this.#read();
  }

  away(): void {
    this.#announced = false;
    this.#count = undefined;
    this.#round++;
  }

  take(message: Buffer): void {
    const change = readChange(this.#group, message);
    if (!change) return;
    if (this.#count !== undefined) this.#apply(change);
    else if (this.#held.length < MOST_HELD) this.#held.push(change);
  }

  end(error: BrokerError): void {
    this.#round++;
    for (const member of [...this.#members]) {
      clearTimeout(member.timer);
      if (member.resolve) member.reject(error);
    }
    this.#members.clear();
  }

  async #read(): Promise<void> {
    const round = ++this.#round;
    this.#count = undefined;
    this.#held = [];
    while (round === this.#round && this.#announced && this.#members.size > 0) {
      try {
        const { count, leases } = await this.#host.list();
        if (round === this.#round) this.#show(count, leases);
        return;
      } catch {
        await pause(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  #show(count: number, leases: readonly Lease[]): void {
    this.#leases.clear();
    for (const lease of leases) this.#leases.set(lease.key, lease);
    this.#count = count;
    for (const member of [...this.#members])
      if (member.resolve) this.#welcome(member);
      else this.#tell(member, { type: "leases", leases });
    const held = this.#held;
    this.#held = [];
    for (const change of held) if (this.#count !== undefined) this.#apply(change);
  }

  #apply({ count, event }: Change): void {
    if (this.#count === undefined || count <= this.#count) return;
    if (count !== this.#count + 1) {
      void this.#read();
      return;
    }
    this.#count = count;
    if (event.type === "put") this.#leases.set(event.lease.key, event.lease);
    else this.#leases.delete(event.key);
    for (const member of [...this.#members]) this.#tell(member, event);
  }

  #welcome(member: Member): void {
    const { resolve } = member;
    if (!resolve) return;
    clearTimeout(member.timer);
    member.resolve = undefined;
    const leases = [...this.#leases.values()].sort((x, y) => (x.key < y.key ? -1 : 1));
    this.#tell(member, { type: "leases", leases });
    resolve({ close: async () => this.#leave(member) });
  }

  #reject(member: Member, error: BrokerError): void {
    this.#leave(member);
    member.reject(error);
  }

  #leave(member: Member): void {
    if (!this.#members.delete(member) || this.#members.size > 0) return;
    this.#round++;
    this.#host.empty();
  }

  #tell(member: Member, event: LeaseEvent): void {
    if (!this.#members.has(member)) return;
    try {
      member.listener(event);
    } catch (error) {
      this.#host.onListenerError(error);
    }
  }
}

/** A lease as the scripts keep it: `VERSION LINGER MOVED OWNER VALUE`. */
export function readLease(group: string, key: string, packed: Buffer): Lease {
  const [[version = "", , , owner = ""], value] = split(packed, 4);
  return { group, key, owner, version: Number(version), value };
}

function readChange(group: string, message: Buffer): Change | undefined {
  const kind = message.toString("latin1", 0, 1);
  if (kind === "P") {
    const [[, count, version, owner = "", key = ""], value] = split(message, 5);
    const lease = { group, key, owner, version: Number(version), value };
    return { count: Number(count), event: { type: "put", lease } };
  }
  if (kind !== "X" && kind !== "R") return undefined;
  const [, count, version, key = ""] = message.toString("latin1").split(" ");
  const type = kind === "X" ? "expired" : "removed";
  return { count: Number(count), event: { type, key, version: Number(version) } };
}

/** So many words, each followed by a space, and a copy of what follows them. */
function split(bytes: Buffer, words: number): [string[], Uint8Array] {
  let at = -1;
  for (let n = 0; n < words; n++) at = bytes.indexOf(0x20, at + 1);
  return [bytes.toString("latin1", 0, at).split(" "), new Uint8Array(bytes.subarray(at + 1))];
}
