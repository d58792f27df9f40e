import type { Cluster } from "./cluster.ts";

type Look = (cluster: Cluster) => unknown;

/** What was looked up to make something: while all of it gives the very same objects, so would making it again. */
export class Uses {
  readonly #looked: { readonly look: Look; readonly found: unknown }[] = [];

  look<Found>(cluster: Cluster, look: (cluster: Cluster) => Found): Found {
    const found = look(cluster);
    this.#looked.push({ look, found });
    return found;
  }

  add(others: Uses): void {
    this.#looked.push(...others.#looked);
  }

  /** Whether a cluster gives all of the same. */
  hold(cluster: Cluster): boolean {
    return this.#looked.every(({ look, found }) => same(look(cluster), found));
  }
}

function same(one: unknown, other: unknown): boolean {
  if (!Array.isArray(one) || !Array.isArray(other)) return one === other;
  return one.length === other.length && one.every((item, index) => item === other[index]);
}
