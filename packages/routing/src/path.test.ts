import { describe, expect, it } from "vitest";
import { expandPath } from "./path.ts";

describe("expandPath", () => {
  const specific = "ImplementationSpecific";
  it.each([
    ["Exact", "/test", ["/test"]],
    ["Exact", "/test/", ["/test/"]],
    ["Prefix", "/test", ["/test", "/test/*"]],
    ["Prefix", "/test/", ["/test", "/test/*"]],
    ["Prefix", "/", ["/*"]],
    [specific, "/test", ["/test"]],
    [specific, "/", ["/"]],
    [undefined, "/test/*", ["/test/*"]],
    [undefined, "/*", ["/*"]],
    [undefined, "", ["/*"]],
    [undefined, undefined, ["/*"]],
  ])("makes rules of %s %s: %j", (pathType, path, paths) => {
    expect(expandPath(pathType, path)).toEqual({ ok: true, paths });
  });

  it.each([
    ["Exact", "/test/*", "failed to validate exact path /test/* due to invalid wildcard"],
    ["Exact", "", "failed to validate exact path type due to empty path"],
    ["Prefix", "/test/*", "failed to validate prefix path /test/* due to invalid wildcard"],
    ["Prefix", "", "failed to validate prefix path type due to empty path"],
    ["InvalidType", "/test/*", "unsupported path type: InvalidType"],
    ["Prefix", "test", "invalid path test: must be an absolute path"],
    [undefined, "test", "invalid path test: must be an absolute path"],
    [undefined, "/a*", "invalid path /a*: the only place a * is allowed is at the end following a /"],
    [undefined, "/*/a/*", "invalid path /*/a/*: the only place a * is allowed is at the end following a /"],
  ])("refuses %s %j", (pathType, path, message) => {
    expect(expandPath(pathType, path)).toEqual({ ok: false, message });
  });

  it.each([
    [specific, "/foo", ["/foo", "/foo/*"]],
    [specific, "/foo/", ["/foo", "/foo/*"]],
    [undefined, "/", ["/*"]],
    [undefined, "", ["/*"]],
    [undefined, "/foo/*", ["/foo/*"]],
    ["Prefix", "/foo", ["/foo", "/foo/*"]],
    ["Exact", "/foo", ["/foo"]],
  ])("takes %s %s for a prefix in class holdfast unless it is exact: %j", (pathType, path, paths) => {
    expect(expandPath(pathType, path, "holdfast")).toEqual({ ok: true, paths });
  });

  it.each(["test", "/a*", "/*/a"])("refuses %s in class holdfast too", (path) => {
    expect(expandPath(undefined, path, "holdfast")).toMatchObject({ ok: false });
  });
});
