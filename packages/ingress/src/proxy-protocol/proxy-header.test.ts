import { isIP } from "node:net";
import { describe, expect, test } from "vitest";
import { addressBytes, proxied, version2 } from "../../test/proxy-headers.ts";
import { seededRandom } from "../../test/random.ts";
import { readProxyHeader, V2_MAX_BYTES } from "./proxy-header.ts";

const read = (text: string) => readProxyHeader(Buffer.from(text, "latin1"));

/** Address block of version 2 over IPv4. */
const IPV4 = Buffer.concat([addressBytes("192.0.2.1"), addressBytes("192.0.2.2"), Buffer.from([1, 2, 3, 4])]);

describe("version 1", () => {
  test("says who the client is and what it connected to", () => {
    expect(read("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n")).toEqual({
      length: 42,
      ends: { source: "192.0.2.1", sourcePort: 56324, destination: "192.0.2.2", destinationPort: 443 },
    });
    expect(read("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n")).toMatchObject({
      ends: { source: "2001:db8::1", sourcePort: 1, destination: "::1", destinationPort: 65535 },
    });
  });

  test("says nothing with UNKNOWN, whatever follows", () => {
    expect(read("PROXY UNKNOWN\r\nrest")).toEqual({ length: 15 });
    expect(read("PROXY UNKNOWN ffff:f...f:ffff ffff 65535 65535\r\n")).toEqual({ length: 48 });
  });

  test("is incomplete until its line ends", () => {
    const line = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
    for (let length = 0; length < line.length; length++) {
      expect(read(line.slice(0, length))).toBe("incomplete");
    }
  });

  test.each([
    ["another protocol", "GET / HTTP/1.1\r\n"],
    ["small letters", "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"],
    ["another family", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"],
    ["an address of the other family", "PROXY TCP4 ::1 ::1 1 2\r\n"],
    ["no address", "PROXY TCP4 here there 1 2\r\n"],
    ["a zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"],
    ["two blanks", "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"],
    ["a blank at the end", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"],
    ["a port too high", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"],
    ["a port with a leading zero", "PROXY TCP4 192.0.2.1 192.0.2.2 1 02\r\n"],
    ["a port missing", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"],
    ["a line feed alone", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"],
    ["a line too long", `PROXY UNKNOWN ${"x".repeat(100)}`],
    ["a line too long with its end", `PROXY UNKNOWN ${"x".repeat(100)}\r\n`],
  ])("is malformed with %s", (_what, text) => {
    expect(read(text)).toBe("malformed");
  });
});

describe("version 2", () => {
  test("says who the client is and what it connected to", () => {
    expect(readProxyHeader(proxied("192.0.2.1", 56324, "192.0.2.2", 443))).toEqual({
      length: 28,
      ends: { source: "192.0.2.1", sourcePort: 56324, destination: "192.0.2.2", destinationPort: 443 },
    });
    expect(readProxyHeader(proxied("2001:db8:0:0:0:0:0:1", 1, "0:0:0:0:0:0:0:1", 2))).toEqual({
      length: 52,
      ends: { source: "2001:db8::1", sourcePort: 1, destination: "::1", destinationPort: 2 },
    });
  });

  test("says nothing for the proxy's own connections, and of what isn't TCP over IP", () => {
    expect(readProxyHeader(version2(0x20, 0x00, Buffer.alloc(0)))).toEqual({ length: 16 });
    expect(readProxyHeader(version2(0x20, 0x11, Buffer.alloc(3)))).toEqual({ length: 19 });
    expect(readProxyHeader(version2(0x21, 0x00, Buffer.alloc(0)))).toEqual({ length: 16 });
    expect(readProxyHeader(version2(0x21, 0x12, IPV4))).toEqual({ length: 28 });
    expect(readProxyHeader(version2(0x21, 0x31, Buffer.alloc(216)))).toEqual({ length: 232 });
  });

  test("has its extra fields skipped, which must be whole", () => {
    const field = Buffer.from([0x04, 0, 2, 9, 9]);
    const header = readProxyHeader(version2(0x21, 0x11, Buffer.concat([IPV4, field, field])));
    expect(header).toMatchObject({ length: 38, ends: { source: "192.0.2.1" } });
    for (const broken of [field.subarray(0, 4), field.subarray(0, 1), Buffer.from([0x04, 0xff, 0xff])]) {
      expect(readProxyHeader(version2(0x21, 0x11, Buffer.concat([IPV4, broken])))).toBe("malformed");
    }
  });

  test("is incomplete until all of it is there", () => {
    const header = proxied("192.0.2.1", 56324, "192.0.2.2", 443);
    for (let length = 0; length < header.length; length++) {
      expect(readProxyHeader(header.subarray(0, length))).toBe("incomplete");
    }
  });

  test.each([
    ["another version", version2(0x31, 0x11, IPV4)],
    ["another command", version2(0x22, 0x11, IPV4)],
    ["another version, cut short", version2(0x11, 0x11, IPV4).subarray(0, 13)],
    ["too few bytes for its addresses", version2(0x21, 0x11, IPV4.subarray(1))],
    ["too few bytes for its family", version2(0x21, 0x21, IPV4)],
    ["more bytes than anybody sends", version2(0x21, 0x11, Buffer.alloc(V2_MAX_BYTES + 1)).subarray(0, 16)],
  ])("is malformed with %s", (_what, bytes) => {
    expect(readProxyHeader(bytes)).toBe("malformed");
  });
});

test("reads hostile bytes without throwing, past no bound, and never as an address that is none", () => {
  const random = seededRandom();
  const seeds = [
    Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"),
    Buffer.from("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"),
    proxied("192.0.2.1", 56324, "192.0.2.2", 443),
    proxied("2001:db8:0:0:0:0:0:1", 1, "0:0:0:0:0:0:0:1", 2),
    version2(0x21, 0x11, Buffer.concat([IPV4, Buffer.from([4, 0, 2, 9, 9])])),
  ];
  const seen = new Set<string>();
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(seeds[random() % seeds.length] ?? "");
    for (let change = random() % 4; change > 0; change--) bytes[random() % bytes.length] = random();
    const cut = bytes.subarray(0, bytes.length - (random() % 3 === 0 ? random() % bytes.length : 0));
    const result = readProxyHeader(cut);
    seen.add(typeof result === "string" ? result : result.ends ? "ends" : "none");
    if (result === "incomplete") expect(cut.length).toBeLessThan(V2_MAX_BYTES + 16);
    else if (result !== "malformed") {
      expect(result.length).toBeLessThanOrEqual(cut.length);
      if (!result.ends) continue;
      expect(isIP(result.ends.source) * isIP(result.ends.destination)).toBeGreaterThan(0);
    }
  }
  expect([...seen].sort()).toEqual(["ends", "incomplete", "malformed", "none"]);
});
