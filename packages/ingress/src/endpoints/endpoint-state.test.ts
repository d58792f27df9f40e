import { expect, test, vi } from "vitest";
import { EndpointState, endpointId } from "./endpoint-state.ts";

const state = () =>
  new EndpointState("10.0.0.1:80", { address: "10.0.0.1", port: 80, pod: "web", healthy: true });

test("counts what is open, each once", () => {
  const endpoint = state();
  const releases = [endpoint.hold(() => {}), endpoint.hold(() => {})];
  expect(endpoint.open).toBe(2);
  for (const release of [...releases, ...releases]) release();
  expect(endpoint.open).toBe(0);
});

test("cuts what is open when the draining time is over, and nothing that ended before", async () => {
  const endpoint = state();
  const cut = vi.fn();
  const ended = vi.fn();
  const release = endpoint.hold(ended);
  endpoint.hold(cut);
  endpoint.drain(0.02, () => {});
  release();
  expect(cut).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(cut).toHaveBeenCalledOnce());
  expect(ended).not.toHaveBeenCalled();
});

test("cuts at once with no draining time", () => {
  const endpoint = state();
  const cut = vi.fn();
  endpoint.hold(cut);
  const over = vi.fn(() => expect(cut).not.toHaveBeenCalled());
  endpoint.drain(0, over);
  expect(cut).toHaveBeenCalledOnce();
  expect(over).toHaveBeenCalledOnce();
});

test("names an IPv6 endpoint with brackets", () => {
  expect(endpointId({ address: "fd00::1", port: 80, pod: "web", healthy: true })).toBe("[fd00::1]:80");
});
