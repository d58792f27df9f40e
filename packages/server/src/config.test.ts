import { describe, expect, it } from "vitest";
import { readApiConfig, readBrokerServerConfig, readSocketServerConfig } from "./config.ts";

it("has defaults for everything but a broker's token", () => {
  expect(readSocketServerConfig({ HOSTNAME: "web-1" })).toMatchObject({
    port: 3000,
    host: undefined,
    node: "web-1",
    broker: undefined,
    path: "/socket.io",
    logLevel: "info",
  });
  expect(readApiConfig({})).toMatchObject({ port: 3000, basePath: "", bodyLimit: 65_536 });
  expect(() => readBrokerServerConfig({})).toThrow("HOLDFAST_BROKER_TOKEN is not set");
});

it("reads what Kubernetes gives a pod", () => {
  const config = readSocketServerConfig({
    PORT: "8080",
    POD_IP: "10.0.0.7",
    POD_NAME: "web-2",
    HOSTNAME: "x",
  });
  expect(config).toMatchObject({ port: 8080, host: "10.0.0.7", node: "web-2" });
  expect(readSocketServerConfig({ POD_IP: "10.0.0.7", HOST: "127.0.0.1" }).host).toBe("127.0.0.1");
});

it("puts a token into the address of a served broker that has none", () => {
  const token = "0123456789abcdef";
  const read = (broker: string) =>
    readApiConfig({ HOLDFAST_BROKER: broker, HOLDFAST_BROKER_TOKEN: token }).broker;
  expect(read("holdfast://broker:7420")).toBe(`holdfast://${token}@broker:7420`);
  expect(read("holdfast://other-token-here@broker:7420")).toBe("holdfast://other-token-here@broker:7420");
  expect(read("memory:")).toBe("memory:");
});

it("takes a base path with or without a slash at its end", () => {
  expect(readApiConfig({ HOLDFAST_BASE_PATH: "/api/" }).basePath).toBe("/api");
  expect(readApiConfig({ HOLDFAST_BASE_PATH: "/" }).basePath).toBe("");
});

it("passes over the variables that Kubernetes makes of services named holdfast", () => {
  expect(() =>
    readApiConfig({
      HOLDFAST_PORT: "tcp://10.0.0.1:80",
      HOLDFAST_SERVICE_HOST: "10.0.0.1",
      HOLDFAST_SERVICE_PORT: "80",
      HOLDFAST_BROKER_PORT: "tcp://10.0.0.2:7420",
      HOLDFAST_BROKER_SERVICE_PORT_TCP_BROKER: "7420",
      HOLDFAST_BROKER_PORT_7420_TCP: "tcp://10.0.0.2:7420",
      HOLDFAST_BROKER_PORT_7420_TCP_ADDR: "10.0.0.2",
    }),
  ).not.toThrow();
});

describe("refuses", () => {
  it.each([
    [
      { HOLDFAST_BROKR: "memory:" },
      "HOLDFAST_BROKR is no variable of Holdfast; the nearest is HOLDFAST_BROKER",
    ],
    [{ HOLDFAST_BASEPATH: "/a" }, "the nearest is HOLDFAST_BASE_PATH"],
    [{ PORT: "http" }, "PORT=http must be a whole number"],
    [{ PORT: "70000" }, "PORT=70000 must be from 0 to 65535"],
    [{ HOLDFAST_BODY_LIMIT: "64k" }, "HOLDFAST_BODY_LIMIT=64k must be a whole number"],
    [{ HOLDFAST_BASE_PATH: "api" }, "HOLDFAST_BASE_PATH=api must begin with /"],
    [{ HOLDFAST_LOG_LEVEL: "loud" }, "HOLDFAST_LOG_LEVEL=loud"],
    [{ HOLDFAST_CORS_ORIGIN: "example.com" }, "HOLDFAST_CORS_ORIGIN=example.com must be * or origins"],
    [{ HOLDFAST_BROKER_TOKEN: "short secret" }, "HOLDFAST_BROKER_TOKEN=(not shown) must be 16 to 200"],
  ])("%j", (environment, message) => {
    expect(() => readApiConfig(environment)).toThrow(message);
    expect(() => readSocketServerConfig(environment)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID" }),
    );
  });

  it("all that is wrong at once", () => {
    expect(() => readApiConfig({ PORT: "x", HOLDFAST_LOG_LEVEL: "y" })).toThrow(
      /PORT=x.*HOLDFAST_LOG_LEVEL=y/,
    );
  });
});
