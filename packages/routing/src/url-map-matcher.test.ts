import { describe, expect, it } from "vitest";
import type { PathRule, UrlMap } from "./model.ts";
import { expandPath } from "./path.ts";
import { UrlMapMatcher } from "./url-map-matcher.ts";

function hosts(rules: Record<string, Record<string, string>>, defaultBackend?: string): UrlMapMatcher {
  const urlMap: UrlMap = {
    hosts: Object.entries(rules).map(([host, paths]) => ({
      host,
      paths: Object.entries(paths).map(([path, backend]): PathRule => ({ path, backend })),
    })),
    ...(defaultBackend === undefined ? {} : { defaultBackend }),
  };
  return new UrlMapMatcher(urlMap);
}

function rule(pathType: string | undefined, path: string, backend = "backend"): Record<string, string> {
  const expanded = expandPath(pathType, path);
  if (!expanded.ok) throw new Error(expanded.message);
  return Object.fromEntries(expanded.paths.map((one) => [one, backend]));
}

describe("a Socket.IO service behind one rule", () => {
  const specific = "ImplementationSpecific";
  const ws = "backend";
  const none = undefined;
  it.each([
    [specific, "/", none, ws, none],
    [specific, "/*", ws, ws, ws],
    ["Prefix", "/", ws, ws, ws],
    [specific, "/socket.io", none, none, none],
    [specific, "/socket.io/*", ws, none, none],
    ["Prefix", "/socket.io", ws, none, none],
    ["Prefix", "/socket.io/", ws, none, none],
    ["Exact", "/socket.io/", ws, none, none],
  ])(
    "%s %s gives /socket.io/?… to %s, / to %s and /socket.iox to %s",
    (pathType, path, polling, root, other) => {
      const matcher = hosts({ "*": rule(pathType, path) });
      expect(matcher.match("a.example.com", "/socket.io/?EIO=4&transport=polling")).toBe(polling);
      expect(matcher.match("a.example.com", "/")).toBe(root);
      expect(matcher.match("a.example.com", "/socket.iox")).toBe(other);
    },
  );

  it("is chosen by its longer prefix over the site's", () => {
    const matcher = hosts({ "*": { "/*": "web", ...rule("Prefix", "/socket.io", "ws") } });
    expect(matcher.match("a.example.com", "/socket.io/?EIO=4&transport=polling")).toBe("ws");
    expect(matcher.match("a.example.com", "/")).toBe("web");
    expect(matcher.match("a.example.com", "/socket.iox")).toBe("web");
  });
});

describe("paths", () => {
  const matcher = hosts(
    { "*": { "/foo": "exact", "/foo/*": "foo", "/foo/bar/*": "bar", "/foo/bar/baz": "baz" } },
    "404",
  );
  it.each([
    ["/foo", "exact"],
    ["/foo?a=/foo/bar/", "exact"],
    ["/foo#/foo/bar/", "exact"],
    ["/foo/", "foo"],
    ["/foo/ba", "foo"],
    ["/foo/bar", "foo"],
    ["/foo/bar/", "bar"],
    ["/foo/bar/baz", "baz"],
    ["/foo/bar/baz/", "bar"],
    ["/foo//", "foo"],
    ["/Foo/", "404"],
    ["/fo", "404"],
    ["/", "404"],
    ["", "404"],
    ["*", "404"],
  ])("%s goes to %s", (path, backend) => {
    expect(matcher.match("a", path)).toBe(backend);
  });
});

describe("hosts", () => {
  const matcher = hosts(
    {
      "a.example.com": { "/*": "exact", "/only": "exact" },
      "*.example.com": { "/*": "wildcard" },
      "*.deep.example.com": { "/*": "deep" },
      "b.example.com": { "/b": "b" },
      "*": { "/*": "any" },
    },
    "default",
  );
  it.each([
    ["a.example.com", "exact"],
    ["A.Example.COM", "exact"],
    ["a.example.com:8080", "exact"],
    ["a.example.com.", "exact"],
    ["a.example.com.:8080", "exact"],
    ["x.example.com", "wildcard"],
    ["x.y.example.com", "wildcard"],
    ["x.deep.example.com", "deep"],
    ["deep.example.com", "wildcard"],
    ["example.com", "any"],
    ["notexample.com", "any"],
    ["127.0.0.1:8080", "any"],
    ["[::1]:8080", "any"],
    ["", "any"],
    [undefined, "any"],
    [`${"x.".repeat(5_000)}example.com`, "any"],
    ["__proto__", "any"],
  ])("%s goes to %s", (host, backend) => {
    expect(matcher.match(host, "/")).toBe(backend);
  });

  it.each([
    ["a.example.com", "wildcard"],
    ["A.Example.com:8080", "wildcard"],
    ["a.b.example.com", "any"],
    ["example.com", "any"],
    [".example.com", "any"],
    ["a.deep.example.com", "deep"],
    ["a.b.deep.example.com", "any"],
  ])("takes a star for one label where the URL map says so: %s goes to %s", (host, backend) => {
    const rule = (name: string, to: string) => ({ host: name, paths: [{ path: "/*", backend: to }] });
    const oneLabel = new UrlMapMatcher({
      hosts: [rule("*.example.com", "wildcard"), rule("*.deep.example.com", "deep"), rule("*", "any")],
      oneLabelWildcards: true,
    });
    expect(oneLabel.match(host, "/")).toBe(backend);
  });

  it("gives a path that a matched host lacks to the default backend, not to another host", () => {
    expect(matcher.match("b.example.com", "/b")).toBe("b");
    expect(matcher.match("b.example.com", "/")).toBe("default");
  });

  it("finds nothing where there is no default backend", () => {
    expect(hosts({ "a.example.com": { "/a": "a" } }).match("b.example.com", "/a")).toBeUndefined();
    expect(hosts({}).match("b.example.com", "/a")).toBeUndefined();
  });
});

describe("the cost of a match", () => {
  it("does not grow with the number of rules", () => {
    const lookups = (count: number) => {
      const rules: Record<string, Record<string, string>> = {};
      for (let index = 0; index < count; index += 1) {
        rules[`h${index}.example.com`] = { [`/p${index}/*`]: `s${index}`, "/*": "root" };
        rules[`*.w${index}.example.com`] = { "/*": `w${index}` };
      }
      const matcher = hosts(rules);
      return countLookups(() => {
        expect(matcher.match("h7.example.com", "/p7/a/b")).toBe("s7");
        expect(matcher.match("a.w7.example.com", "/a")).toBe("w7");
      });
    };
    expect(lookups(10_000)).toBe(lookups(10));
  });

  it("does not grow with the slashes of a hostile path", () => {
    const matcher = hosts({ "*": { "/a/b/*": "ab" } });
    expect(countLookups(() => matcher.match("h", "/".repeat(100_000)))).toBeLessThan(20);
  });
});

/** Counts Map lookups, which are what a match is made of. */
function countLookups(run: () => void): number {
  const { get } = Map.prototype;
  let count = 0;
  Map.prototype.get = function (this: Map<unknown, unknown>, key: unknown) {
    count += 1;
    return get.call(this, key);
  };
  try {
    run();
  } finally {
    Map.prototype.get = get;
  }
  return count;
}
