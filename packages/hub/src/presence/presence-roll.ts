import type { LeaseEvent } from "@holdfast/broker";
import type { PresenceEvent } from "./presence-events.ts";
import { decodeMember, type PresentMember } from "./present-member.ts";

/** Who is present in one channel, from what its leases tell. */
export class PresenceRoll {
  readonly #members = new Map<string, PresentMember>();
  /** How many connections each user has. */
  readonly #users = new Map<string, number>();
  #told = false;

  /** Takes what the leases tell over. @returns what followers are to be told of it */
  take(event: LeaseEvent): readonly PresenceEvent[] {
    switch (event.type) {
      case "leases": {
        const members = event.leases.flatMap((lease) => decodeMember(lease) ?? []);
        return this.#told ? this.#catchUp(members) : this.#begin(members);
      }
      case "put": {
        const member = decodeMember(event.lease);
        return toList(member ? this.#put(member) : this.#remove(event.lease.key));
      }
      case "removed":
      case "expired":
        return toList(this.#remove(event.key));
    }
  }

  #begin(members: readonly PresentMember[]): readonly PresenceEvent[] {
    this.#told = true;
    for (const member of members) this.#add(member);
    return [{ type: "here", members }];
  }

  /** Changes may have been missed: what differs is told as though it came one by one. */
  #catchUp(members: readonly PresentMember[]): readonly PresenceEvent[] {
    const here = new Set(members.map(({ connection }) => connection));
    const gone = [...this.#members.keys()].filter((connection) => !here.has(connection));
    // Who came first: a user who only changed connections did not leave.
    const joined = members.flatMap((member) => toList(this.#put(member)));
    return [...joined, ...gone.flatMap((connection) => toList(this.#remove(connection)))];
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

function toList(event: PresenceEvent | undefined): readonly PresenceEvent[] {
  return event ? [event] : [];
}
