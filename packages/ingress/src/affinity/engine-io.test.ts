import { describe, expect, test } from "vitest";
import { readEngineIoQuery, readHandshake } from "./engine-io.ts";

describe("the query", () => {
  test.each([
    ["EIO=4&transport=polling", { transport: "polling" }],
    ["EIO=4&transport=polling&t=abc&sid=x1", { transport: "polling", sid: "x1" }],
    ["sid=a%2Fb&transport=websocket&EIO=3", { transport: "websocket", sid: "a/b" }],
    ["token=EIO=&EIO=4&transport=polling&sid=1&sid=2", { transport: "polling", sid: "1" }],
    ["EIO=4&transport=polling&sid=", { transport: "polling" }],
    ["EIO=4&transport=polling&sid=%E0%A4", { transport: "polling" }],
    [`EIO=4&transport=polling&sid=${"x".repeat(129)}`, { transport: "polling" }],
  ])("%s is read", (query, read) => {
    expect(readEngineIoQuery(query)).toEqual(read);
  });

  test.each([
    "",
    "sid=x",
    "transport=polling&sid=x",
    "EIO=4&sid=x",
    "XEIO=4&transport=polling&sid=x",
    "EIO=4&transport=",
  ])("%s is none of Engine.IO's", (query) => {
    expect(readEngineIoQuery(query)).toBeUndefined();
  });
});

describe("the answer to a handshake", () => {
  test.each([
    ['0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":["websocket"],"pingInterval":25000}', "lv_VI97HAXpY6yYWAAAB"],
    ['97:0{"sid":"9P1","upgrades":[]}2:40', "9P1"],
    ['0{"upgrades": ["websocket"], "sid": "late"}', "late"],
    ['___eio[0]("0{\\"sid\\":\\"jsonp\\",\\"upgrades\\":[]}");', "jsonp"],
    ['___eio[12]("97:0{\\"sid\\":\\"jsonp\\"}");', "jsonp"],
  ])("%s holds the session id", (body, sid) => {
    expect(readHandshake(Buffer.from(body))).toBe(sid);
  });

  test.each([
    "",
    "ok",
    '{"sid":"x"}',
    ' 0{"sid":"x"}',
    '4{"sid":"x"}',
    '0{"sid":"',
    '0{"sid":""}',
    '0{"a":{}}{"sid":"x"}',
    `0{"sid":"${"x".repeat(129)}"}`,
    `0{"pad":"${" ".repeat(1024)}","sid":"x"}`,
  ])("%s holds none", (body) => {
    expect(readHandshake(Buffer.from(body))).toBeUndefined();
  });
});
