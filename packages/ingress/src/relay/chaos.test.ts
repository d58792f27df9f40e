import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, expect, test, vi } from "vitest";
import { RawClient } from "../../test/clients.ts";
import { modelOf } from "../../test/models.ts";
import { startPod } from "../../test/pods.ts";
import { seededRandom } from "../../test/random.ts";
import { cleanUp, serve } from "../../test/serve.ts";

afterEach(cleanUp);

/** What a pod does with a request, as its path says: `/<behaviour>/<name>/<bytes of the answer>`. */
const BEHAVIOURS = ["echo", "length", "slow", "early", "close", "hints", "break", "reset", "head"] as const;

function behave(request: IncomingMessage, response: ServerResponse): void {
  const [, behaviour, name, size] = request.url?.split("/") ?? [];
  const answer = `<${name}${"x".repeat(Number(size))}>`;
  const whole = (then: () => void) => request.on("end", then).resume();
  request.on("error", () => {});
  switch (behaviour) {
    case "length":
      whole(() => response.setHeader("Content-Length", answer.length).end(answer));
      return;
    case "slow":
      whole(() => {
        response.write(answer.slice(0, 3));
        setTimeout(() => response.end(answer.slice(3)), 3);
      });
      return;
    case "early":
      response.setHeader("Content-Length", answer.length).end(answer);
      return;
    case "close":
      whole(() => response.setHeader("Connection", "close").end(answer));
      return;
    case "hints":
      response.writeEarlyHints({ link: "</a.css>; rel=preload" });
      whole(() => response.end(answer));
      return;
    case "break":
      whole(() => response.write(answer.slice(0, 3), () => request.socket.destroy()));
      return;
    case "reset":
      request.socket.resetAndDestroy();
      return;
    case "head":
      whole(() => request.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"));
      return;
    default:
      whole(() => response.end(answer));
  }
}

/** The answers in a client's bytes, as strict as need be: their bodies, `undefined` for one that says it failed. */
function answersIn(text: string): { bodies: (string | undefined)[]; whole: boolean } {
  const bodies: (string | undefined)[] = [];
  let at = 0;
  while (at < text.length) {
    const headEnd = text.indexOf("\r\n\r\n", at);
    if (headEnd === -1) return { bodies, whole: false };
    const head = text.slice(at, headEnd);
    const status = Number(/^HTTP\/1\.1 (\d\d\d) /.exec(head)?.[1]);
    at = headEnd + 4;
    if (status < 200) continue;
    let body = "";
    if (/^transfer-encoding: chunked$/im.test(head)) {
      for (;;) {
        const line = text.indexOf("\r\n", at);
        const size = Number.parseInt(text.slice(at, line), 16);
        if (line === -1 || text.length < line + 2 + size + 2) return { bodies, whole: false };
        body += text.slice(line + 2, line + 2 + size);
        at = line + 2 + size + 2;
        if (size === 0) break;
      }
    } else {
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1]);
      body = text.slice(at, at + length);
      if (body.length < length) return { bodies, whole: false };
      at += length;
    }
    bodies.push(status === 200 ? body : undefined);
  }
  return { bodies, whole: true };
}

test("whatever clients and pods do, an answer is that of its request, or visibly none", async () => {
  const random = seededRandom();
  const below = (limit: number) => random() % limit;
  const pods = await Promise.all(
    [2, 3].map((host) => startPod("web", { address: `127.0.0.${host}`, handle: behave })),
  );
  const served = await serve(pods, {
    model: modelOf({ type: "NONE" }, { timeoutSec: 2 }),
    maxResets: 1_000_000,
  });

  const client = async (id: number) => {
    const expected: string[] = [];
    let bytes = "";
    const count = 1 + below(6);
    for (let index = 0; index < count; index++) {
      const behaviour = BEHAVIOURS[below(BEHAVIOURS.length)] ?? "echo";
      const name = `${id}.${index}`;
      const size = below(4) === 0 ? below(200_000) : below(50);
      expected.push(`<${name}${"x".repeat(size)}>`);
      const body = "b".repeat(below(3) === 0 ? below(100_000) : below(20));
      const line = ` /${behaviour}/${name}/${size} HTTP/1.1\r\nHost: x\r\n`;
      const kind = below(4);
      if (kind < 2) bytes += `GET${line}\r\n`;
      else if (kind === 2) bytes += `POST${line}Content-Length: ${body.length}\r\n\r\n${body}`;
      else {
        const chunk = body === "" ? "" : `${body.length.toString(16)}\r\n${body}\r\n`;
        bytes += `PUT${line}Transfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`;
      }
    }
    const raw = await RawClient.open(served);
    // One in five leaves at some point in the middle.
    const leavesAt = below(5) === 0 ? below(bytes.length) : Number.POSITIVE_INFINITY;
    for (let at = 0; at < bytes.length && !raw.ended && !raw.closed; ) {
      const piece = bytes.slice(at, at + 1 + below(below(2) === 0 ? 20_000 : 200));
      at += piece.length;
      if (at > leavesAt) {
        raw.socket.destroy();
        return { failed: 0, answered: 0 };
      }
      if (!raw.socket.write(piece, "latin1")) await new Promise((resolve) => setTimeout(resolve, 1));
      else if (below(3) === 0) await new Promise(setImmediate);
    }
    await vi.waitFor(
      () => {
        const { bodies } = answersIn(raw.received);
        expect(bodies.length === count || raw.ended || raw.closed).toBe(true);
      },
      { timeout: 6_000, interval: 20 },
    );
    const { bodies, whole } = answersIn(raw.received);
    raw.socket.destroy();
    for (const [index, body] of bodies.entries()) if (body !== undefined) expect(body).toBe(expected[index]);
    expect(bodies.length).toBeLessThanOrEqual(count);
    if (!whole) expect(raw.ended || raw.closed).toBe(true);
    return { failed: bodies.filter((body) => body === undefined).length, answered: bodies.length };
  };

  let answered = 0;
  for (let round = 0; round < 6; round++) {
    const ends = await Promise.all(Array.from({ length: 20 }, (_, index) => client(round * 20 + index)));
    answered += ends.reduce((sum, end) => sum + end.answered - end.failed, 0);
  }
  expect(answered).toBeGreaterThan(100);
  await vi.waitFor(() => {
    const { listeners, endpoints } = served.ingress.status();
    expect(listeners.map(({ open }) => open)).toEqual([0]);
    expect(endpoints.map(({ open }) => open)).toEqual([0, 0]);
  }, 6_000);
});
