import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import WebSocket from "ws";

export interface Failure {
  readonly kind: "get" | "post" | "poll" | "websocket";
  /** Status or error. */
  readonly what: string;
}

/** Clients that keep asking one address over kept-alive connections and WebSockets, until they are stopped. */
export class Load {
  /** Clients that post, each one request at a time. */
  static readonly POSTING = 6;
  readonly failures: Failure[] = [];
  /** How many requests each pod has answered. */
  readonly answers = new Map<string, number>();
  readonly counts = { get: 0, post: 0, poll: 0, websocket: 0 };
  readonly #to: { readonly host: string; readonly port: number };
  readonly #agent = new Agent({ keepAlive: true });
  readonly #clients: Promise<void>[];
  readonly #underWay = new Set<Promise<unknown>>();
  #stopped = false;

  constructor(to: { readonly host: string; readonly port: number }) {
    this.#to = to;
    const several = (count: number, client: (index: number) => Promise<void>) =>
      Array.from({ length: count }, (_, index) => client(index));
    this.#clients = [
      ...several(6, (index) => this.#ask("get", index % 2 === 0)),
      ...several(Load.POSTING, (index) => this.#ask("post", index % 2 === 0)),
      ...several(6, (index) => this.#ask("poll", index % 2 === 0)),
      ...several(3, () => this.#converse()),
    ];
  }

  get answered(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count);
  }

  /** Resolves once whatever the clients wait for now, requests and WebSockets' handshakes, was answered or has failed. */
  async caughtUp(): Promise<void> {
    await Promise.allSettled([...this.#underWay]);
  }

  /** Lets every client finish what it has begun. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  /** @param sticky comes back with the cookie that it was given first */
  async #ask(kind: "get" | "post" | "poll", sticky: boolean): Promise<void> {
    let cookie: string | undefined;
    for (let round = 0; !this.#stopped; round++) {
      const sent = `${kind} ${round} ${"x".repeat(round % 500)}`;
      try {
        const answer = await this.#note(this.#send(kind, sent, cookie));
        if (answer.status !== 200) this.failures.push({ kind, what: String(answer.status) });
        else if (kind === "post" && answer.body !== sent) this.failures.push({ kind, what: "another body" });
        else this.#count(kind, answer.pod);
        if (sticky) cookie ??= answer.cookie;
      } catch (error) {
        this.failures.push({ kind, what: String(error) });
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  #send(kind: "get" | "post" | "poll", sent: string, cookie: string | undefined) {
    return new Promise<{ status: number; body: string; pod: string; cookie: string | undefined }>(
      (resolve, reject) => {
        const outgoing = request(
          {
            ...this.#to,
            agent: this.#agent,
            method: kind === "post" ? "POST" : "GET",
            path: kind === "poll" ? "/poll" : "/",
            headers: cookie === undefined ? {} : { Cookie: cookie },
          },
          (response) => {
            const { statusCode: status = 0, headers } = response;
            const issued = headers["set-cookie"]?.[0]?.split(";")[0];
            text(response).then(
              (body) => resolve({ status, body, pod: String(headers.pod), cookie: issued }),
              reject,
            );
          },
        );
        outgoing.on("error", reject);
        outgoing.end(kind === "post" ? sent : undefined);
      },
    );
  }

  /** Talks over a WebSocket and opens another one whenever it ends, which is no failure; that it can't be opened is. */
  async #converse(): Promise<void> {
    while (!this.#stopped) {
      const socket = new WebSocket(`ws://${this.#to.host}:${this.#to.port}/`);
      const { promise: decided, resolve: decide } = Promise.withResolvers<void>();
      void this.#note(decided);
      await new Promise<void>((resolve) => {
        let opened = false;
        socket.on("open", () => {
          opened = true;
          decide();
          socket.send("hello");
        });
        socket.on("message", () => {
          this.counts.websocket++;
          if (this.#stopped) socket.close();
          else setTimeout(() => socket.readyState === WebSocket.OPEN && socket.send("hello"), 10);
        });
        socket.on("error", (error) => {
          if (!opened) this.failures.push({ kind: "websocket", what: String(error) });
        });
        socket.on("close", () => resolve());
      });
      decide();
    }
  }

  #note<T>(answer: Promise<T>): Promise<T> {
    const done = () => this.#underWay.delete(answer);
    this.#underWay.add(answer);
    answer.then(done, done);
    return answer;
  }

  #count(kind: "get" | "post" | "poll", pod: string): void {
    this.counts[kind]++;
    this.answers.set(pod, (this.answers.get(pod) ?? 0) + 1);
  }
}
