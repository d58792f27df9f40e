/** One node of the cluster. */
export interface Member {
  readonly uid: string;
  /** Its name. */
  readonly node: string;
  /** Where its server is, `http://HOST:PORT`. */
  readonly address?: string;
}

/** Who is in the cluster, as far as this node knows: what it needs of a membership. */
export interface Members {
  /** This process: no other ever has the same. */
  readonly uid: string;
  /** The nodes that live now, this one too once it is a member. */
  nodes(): readonly Member[];
  /** @returns ends it */
  onChange(
    listener: (change: { readonly type: string; readonly node: { readonly uid: string } }) => void,
  ): () => void;
}

/** The nodes that live now beside this one. */
export function othersOf(members: Members): Set<string> {
  const uids = new Set(members.nodes().map(({ uid }) => uid));
  uids.delete(members.uid);
  return uids;
}
