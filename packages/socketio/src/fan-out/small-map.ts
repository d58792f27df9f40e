/** What Socket.IO asks of the maps that it makes for each connection. */
type UsedOfMap<K, V> = Pick<
  Map<K, V>,
  "clear" | "delete" | "entries" | "forEach" | "get" | "has" | "keys" | "size" | "values"
> &
  Iterable<[K, V]>;

/** The key of no entry. */
const NONE = Symbol("none");

/** A map that is small while it has one entry at most, as nearly all of those have that a connection comes with. */
export class SmallMap<K, V> implements UsedOfMap<K, V> {
  #key: K | typeof NONE = NONE;
  #value: V | undefined;
  #all: Map<K, V> | undefined;

  constructor(entries: Iterable<[K, V]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.#all?.size ?? (this.#key === NONE ? 0 : 1);
  }

  get(key: K): V | undefined {
    if (this.#all) return this.#all.get(key);
    return this.#key === key ? this.#value : undefined;
  }

  has(key: K): boolean {
    return this.#all ? this.#all.has(key) : this.#key === key;
  }

  set(key: K, value: V): this {
    if (this.#all) this.#all.set(key, value);
    else if (this.#key === NONE || this.#key === key) {
      this.#key = key;
      this.#value = value;
    } else this.#map().set(key, value);
    return this;
  }

  delete(key: K): boolean {
    if (!this.has(key)) return false;
    // Whoever goes through it sees that.
    if (this.#all?.delete(key) && this.#all.size > 0) return true;
    this.clear();
    return true;
  }

  clear(): void {
    this.#all?.clear();
    this.#all = undefined;
    this.#key = NONE;
    this.#value = undefined;
  }

  entries(): MapIterator<[K, V]> {
    return this.#map().entries();
  }

  keys(): MapIterator<K> {
    return this.#map().keys();
  }

  values(): MapIterator<V> {
    return this.#map().values();
  }

  forEach(tell: (value: V, key: K, map: Map<K, V>) => void, self?: unknown): void {
    this.#map().forEach(tell, self);
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  /** Iterators see what changes while they run, so they are of a map itself. */
  #map(): Map<K, V> {
    this.#all ??= new Map();
    if (this.#key !== NONE) this.#all.set(this.#key, this.#value as V);
    this.#key = NONE;
    this.#value = undefined;
    return this.#all;
  }
}
