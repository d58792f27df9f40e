import { BlockList, isIP } from "node:net";
import { plainAddress } from "./accept.ts";

/** The proxies in front that are believed when they say for whom they speak. */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #none: boolean;

  /** @param ranges as `isRange` takes them */
  constructor(ranges: readonly string[]) {
    this.#none = ranges.length === 0;
    for (const range of ranges) {
      const [address = "", bits] = range.split("/");
      const family = isIP(address) === 6 ? "ipv6" : "ipv4";
      this.#list.addSubnet(address, Number(bits ?? (family === "ipv6" ? 128 : 32)), family);
    }
  }

  trusts(address: string): boolean {
    const version = this.#none ? 0 : isIP(address);
    return version !== 0 && this.#list.check(address, version === 6 ? "ipv6" : "ipv4");
  }

  /**
   * Whom a trusted proxy speaks for: the last entry of `X-Forwarded-For` that is not a trusted proxy itself. Whatever
   * stands before that the client may have made up. The proxy's own address where there is no such entry, or none
   * that is an address.
   */
  clientOf(proxy: string, forwardedFor: string): string {
    let client = proxy;
    let end = forwardedFor.length;
    while (end > 0) {
      const comma = forwardedFor.lastIndexOf(",", end - 1);
      const entry = plainAddress(forwardedFor.slice(comma + 1, end).trim());
      if (isIP(entry) === 0) return client;
      client = entry;
      if (!this.trusts(entry)) return client;
      end = comma;
    }
    return client;
  }
}

/** An IP address or CIDR range, such as `10.0.0.0/8` or `2001:db8::/32`. */
export function isRange(range: string): boolean {
  const [address = "", bits, ...more] = range.split("/");
  const version = isIP(address);
  if (version === 0 || address.includes("%") || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 6 ? 128 : 32));
}
