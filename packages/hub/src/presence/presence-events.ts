import type { PresentMember } from "./present-member.ts";

/** What a follower of a channel's presence is told. */
export type PresenceEvent =
  /** Everybody who is there, once and first. */
  | { readonly type: "here"; readonly members: readonly PresentMember[] }
  /** `isFirst`: the user had no other connection there. */
  | { readonly type: "joined"; readonly member: PresentMember; readonly isFirst: boolean }
  /** The same connection has another user or info. */
  | { readonly type: "changed"; readonly member: PresentMember; readonly before: PresentMember }
  /** `isLast`: the user has no other connection there. */
  | { readonly type: "left"; readonly member: PresentMember; readonly isLast: boolean };
