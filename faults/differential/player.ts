import { Manager, type Socket } from "socket.io-client";
import { describeValue } from "./payloads.ts";
import type { ClientPlan, Payload } from "./program.ts";
import type { Observation } from "./transcript.ts";

/** Told to every client when a phase is to end: by each node, with the number of the phase. */
export const MARKER = "marker";
/** Asked by a client, to be answered by its server after all that it said before. */
export const SYNC = "sync";
/** Asked by a client, to be put into rooms. */
export const JOIN = "join";

/** What a client does with a message: how many of its arguments are the program's, and whether it answers. */
export interface Script {
  readonly payload: Payload;
  readonly silent?: readonly string[];
}

/** A stock client that notes what it sees. */
export class Player {
  readonly plan: ClientPlan;
  readonly seen: Observation[] = [];
  readonly #script: ReadonlyMap<string, Script>;
  readonly #manager: Manager;
  readonly #socket: Socket;
  #node = 0;
  readonly #markers = new Set<string>();

  constructor(plan: ClientPlan, script: ReadonlyMap<string, Script>) {
    this.plan = plan;
    this.#script = script;
    this.#manager = new Manager("http://127.0.0.1:1", {
      transports: [...plan.transports],
      autoConnect: false,
      reconnection: false,
      forceNew: true,
    });
    this.#socket = this.#manager.socket(plan.namespace, {
      auth: () => undefined,
    });
    this.#socket.auth = (give: (auth: object) => void) => give({ name: plan.name, node: this.#node });
    this.#socket.onAny((event: string, ...args: unknown[]) => this.#take(event, args));
    this.#socket.on("connect", () => this.#note("connect", this.#socket.recovered ? "recovered" : "new"));
    this.#socket.on("connect_error", (error) => this.#note("connect_error", error.message));
    this.#socket.on("disconnect", (reason) => this.#note("disconnect", reason));
  }

  get node(): number {
    return this.#node;
  }

  get id(): string | undefined {
    return this.#socket.id;
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  /** Resolves once it is connected, or can't be. */
  async connect(node: number, url: string): Promise<void> {
    this.#node = node;
    // Where the next connection goes: a balancer's choice, which a client knows nothing of.
    (this.#manager as unknown as { uri: string }).uri = url;
    const done = Promise.withResolvers<void>();
    for (const event of ["connect", "connect_error"]) this.#socket.once(event, done.resolve);
    this.#socket.connect();
    await done.promise;
    for (const event of ["connect", "connect_error"]) this.#socket.off(event, done.resolve);
  }

  disconnect(): void {
    this.#socket.disconnect();
  }

  /** Loses the connection, as when the network goes: at once, also while an upgrade is under way, for which `close` would wait. */
  lose(): void {
    (this.#manager.engine as unknown as { _onClose(reason: string): void })._onClose("forced close");
  }

  say(event: string, payload: Payload): void {
    this.#socket.emit(event, ...payload);
  }

  async ask(event: string, payload: Payload): Promise<unknown> {
    return await this.#socket.timeout(10_000).emitWithAck(event, ...payload);
  }

  /** Whether these nodes' markers of a phase have come. */
  isMarked(phase: number, nodes: readonly number[]): boolean {
    return nodes.every((node) => this.#markers.has(`${phase}:${node}`));
  }

  close(): void {
    this.#socket.offAny();
    this.#socket.disconnect();
  }

  #take(event: string, args: unknown[]): void {
    if (event === MARKER) {
      this.#markers.add(`${args[0]}:${args[1]}`);
      return;
    }
    // Holdfast's own, of which applications know nothing.
    if (event.startsWith("holdfast:")) return;
    const script = this.#script.get(event);
    const answer =
      typeof args.at(-1) === "function" ? (args.pop() as (...answer: unknown[]) => void) : undefined;
    this.#note(event, describeArguments(args, script?.payload.length ?? 0));
    if (answer && !script?.silent?.includes(this.plan.name))
      answer([this.plan.name, ...(script?.payload ?? [])]);
  }

  #note(id: string, value: string): void {
    this.seen.push({ id, value });
  }
}

/** With `connectionStateRecovery` there is a string behind the arguments, which is different each time. */
function describeArguments(args: readonly unknown[], count: number): string {
  const beyond = args.slice(count).map((one) => (typeof one === "string" ? "a place" : describeValue(one)));
  return [describeValue(args.slice(0, count)), ...beyond].join(" and ");
}
