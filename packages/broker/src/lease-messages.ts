import { encodeFrame, type Field, type FieldReader, type Frame } from "./frame.ts";
import type { Lease, LeaseEvent, LeasePut, LeaseWrite } from "./lease-table.ts";

/** What a connection asks of the leases of the broker behind the server. */
export type LeaseRequest =
  | { readonly type: "renew"; readonly id: number; readonly owner: string; readonly ttlMs: number }
  | { readonly type: "put"; readonly id: number; readonly write: LeaseWrite }
  | {
      readonly type: "remove";
      readonly id: number;
      readonly owner: string;
      readonly group: string;
      readonly key: string;
    }
  | { readonly type: "release"; readonly id: number; readonly owner: string }
  | { readonly type: "list"; readonly id: number; readonly group: string }
  /** Its answers are `leases` and `change` with this id, until `unfollow`; or `failed`. */
  | { readonly type: "follow"; readonly id: number; readonly group: string }
  | { readonly type: "unfollow"; readonly id: number };

export type LeaseAnswer =
  | { readonly type: "renewed"; readonly id: number; readonly count: number }
  | { readonly type: "lease-put"; readonly id: number; readonly put: LeasePut }
  | { readonly type: "removed"; readonly id: number; readonly had: boolean }
  /** All leases of a group; with `more` the next frames have the rest of them. */
  | {
      readonly type: "leases";
      readonly id: number;
      readonly more: boolean;
      readonly leases: readonly Lease[];
    }
  | { readonly type: "change"; readonly id: number; readonly event: Change };

type Change = Exclude<LeaseEvent, { readonly type: "leases" }>;

const REQUEST = { renew: 20, put: 21, remove: 22, release: 23, list: 24, follow: 25, unfollow: 26 } as const;
const ANSWER = { renewed: 20, "lease-put": 21, removed: 22, leases: 23, change: 24 } as const;
const WHEN = ["own", "restore", "expect"] as const;
const CHANGES = ["put", "removed", "expired"] as const;

// Somewhat more than a name may have, so that the server answers with a code.
const NAME = 1024;
/** The most leases in one frame of a group's. */
export const LEASES_PER_FRAME = 1000;

export function isLeaseRequest(message: { readonly type: string }): message is LeaseRequest {
  return Object.hasOwn(REQUEST, message.type);
}

export function isLeaseAnswer(message: { readonly type: string }): message is LeaseAnswer {
  return Object.hasOwn(ANSWER, message.type);
}

export function encodeLeaseRequest(message: LeaseRequest): Frame {
  const head = [REQUEST[message.type], message.id];
  switch (message.type) {
    case "renew":
      return encodeFrame([...head, message.owner, message.ttlMs]);
    case "put": {
      const { owner, ttlMs, group, key, value, lingerMs, when } = message.write;
      return encodeFrame([
        ...head,
        owner,
        ttlMs,
        group,
        key,
        value,
        lingerMs,
        WHEN.indexOf(when.type),
        when.version,
      ]);
    }
    case "remove":
      return encodeFrame([...head, message.owner, message.group, message.key]);
    case "release":
      return encodeFrame([...head, message.owner]);
    case "list":
    case "follow":
      return encodeFrame([...head, message.group]);
    case "unfollow":
      return encodeFrame(head);
  }
}

export function encodeLeaseAnswer(message: LeaseAnswer): Frame {
  const head = [ANSWER[message.type], message.id];
  switch (message.type) {
    case "renewed":
      return encodeFrame([...head, message.count]);
    case "lease-put": {
      const { put } = message;
      if (put.type === "put") return encodeFrame([...head, true, put.version, put.takenFrom ?? null]);
      return encodeFrame([...head, false, put.lease !== undefined, ...(put.lease ? lease(put.lease) : [])]);
    }
    case "removed":
      return encodeFrame([...head, message.had]);
    case "leases":
      return encodeFrame([...head, message.more, message.leases.length, ...message.leases.flatMap(lease)]);
    case "change": {
      const { event } = message;
      const rest = event.type === "put" ? lease(event.lease) : [event.key, event.version];
      return encodeFrame([...head, CHANGES.indexOf(event.type), ...rest]);
    }
  }
}

/** Reads what follows the type; undefined when the type is none of these. */
export function decodeLeaseRequest(type: number, fields: FieldReader): LeaseRequest | undefined {
  switch (type) {
    case REQUEST.renew:
      return { type: "renew", id: fields.count(), owner: fields.text(NAME), ttlMs: fields.count() };
    case REQUEST.put: {
      const [id, owner, ttlMs] = [fields.count(), fields.text(NAME), fields.count()];
      const [group, key, value] = [fields.text(NAME), fields.text(NAME), fields.bytes()];
      const [lingerMs, when, version] = [fields.count(), WHEN[fields.count(2)] ?? "own", fields.count()];
      return {
        type: "put",
        id,
        write: { owner, ttlMs, group, key, value, lingerMs, when: { type: when, version } },
      };
    }
    case REQUEST.remove: {
      const [id, owner] = [fields.count(), fields.text(NAME)];
      return { type: "remove", id, owner, group: fields.text(NAME), key: fields.text(NAME) };
    }
    case REQUEST.release:
      return { type: "release", id: fields.count(), owner: fields.text(NAME) };
    case REQUEST.list:
      return { type: "list", id: fields.count(), group: fields.text(NAME) };
    case REQUEST.follow:
      return { type: "follow", id: fields.count(), group: fields.text(NAME) };
    case REQUEST.unfollow:
      return { type: "unfollow", id: fields.count() };
    default:
      return undefined;
  }
}

/** Reads what follows the type; undefined when the type is none of these. */
export function decodeLeaseAnswer(type: number, fields: FieldReader): LeaseAnswer | undefined {
  switch (type) {
    case ANSWER.renewed:
      return { type: "renewed", id: fields.count(), count: fields.count() };
    case ANSWER["lease-put"]:
      return { type: "lease-put", id: fields.count(), put: readPut(fields) };
    case ANSWER.removed:
      return { type: "removed", id: fields.count(), had: fields.flag() };
    case ANSWER.leases: {
      const [id, more] = [fields.count(), fields.flag()];
      const leases = Array.from({ length: fields.count(LEASES_PER_FRAME) }, () => readLease(fields));
      return { type: "leases", id, more, leases };
    }
    case ANSWER.change: {
      const [id, change] = [fields.count(), CHANGES[fields.count(2)] ?? "put"];
      if (change === "put") return { type: "change", id, event: { type: change, lease: readLease(fields) } };
      return { type: "change", id, event: { type: change, key: fields.text(NAME), version: fields.count() } };
    }
    default:
      return undefined;
  }
}

function readPut(fields: FieldReader): LeasePut {
  if (!fields.flag()) return { type: "refused", lease: fields.flag() ? readLease(fields) : undefined };
  const [version, takenFrom] = [fields.count(), fields.optionalText(NAME)];
  return { type: "put", version, ...(takenFrom !== undefined && { takenFrom }) };
}

function lease({ group, key, owner, version, value }: Lease): Field[] {
  return [group, key, owner, version, value];
}

function readLease(fields: FieldReader): Lease {
  const [group, key, owner] = [fields.text(NAME), fields.text(NAME), fields.text(NAME)];
  return { group, key, owner, version: fields.count(), value: fields.bytes() };
}
