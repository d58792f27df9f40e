import type { LeaseEvent } from "@holdfast/broker";
import type { PresenceEvent } from "./presence-events.ts";
import { decodeMember, type PresentMember } from "./present-member.ts";

/** Who is present in one channel, from what its leases tell. */
export class PresenceRoll {
  readonly #members = new Map<string, PresentMember>();
  /** How many connections each user has. */
  readonly #users = new Map<string, number>();

  get members(): readonly PresentMember[] {
    return [...this.#members.values()];
  }

  /** Takes a change over. @returns what followers are to be told of it */
  take(event: LeaseEvent): PresenceEvent | undefined {
    switch (event.type) {
      case "leases": {
        this.#members.clear();
        this.#users.clear();
        for (const lease of event.leases) {
          const member = decodeMember(lease);
          if (member) this.#add(member);
        }
        return { type: "here", members: this.members };
      }
      case "put": {
        const member = decodeMember(event.lease);
        return member ? this.#put(member) : this.#remove(event.lease.key);
      }
      case "removed":
      case "expired":
        return this.#remove(event.key);
    }
  }

  #put(member: PresentMember): PresenceEvent | undefined {
    const before = this.#members.get(member.connection);
    if (before) {
      // A lease is also written anew when it was only put back, or went to another node: nobody came.
      if (before.user === member.user && JSON.stringify(before.info) === JSON.stringify(member.info))
        return undefined;
      this.#drop(before);
      this.#add(member);
      return { type: "changed", member, before };
    }
    return { type: "joined", member, isFirst: this.#add(member) === 1 };
  }

  #remove(connection: string): PresenceEvent | undefined {
    const member = this.#members.get(connection);
    if (!member) return undefined;
    return { type: "left", member, isLast: this.#drop(member) === 0 };
  }

  #add(member: PresentMember): number {
    const count = (this.#users.get(member.user) ?? 0) + 1;
    this.#members.set(member.connection, member);
    this.#users.set(member.user, count);
    return count;
  }

  #drop(member: PresentMember): number {
    const count = (this.#users.get(member.user) ?? 1) - 1;
    this.#members.delete(member.connection);
    if (count > 0) this.#users.set(member.user, count);
    else this.#users.delete(member.user);
    return count;
  }
}
