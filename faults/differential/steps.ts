import { FETCH_MS, type Patience } from "./patience.ts";
import { describeValue } from "./payloads.ts";
import { JOIN, type Player } from "./player.ts";
import type { Payload, Step } from "./program.ts";
import type { Servers } from "./servers.ts";
import type { Operator, Targets } from "./targets.ts";

/** Does the steps of a program, and keeps what those were answered that ask for something. */
export class Steps {
  readonly #players: ReadonlyMap<string, Player>;
  readonly #servers: Servers;
  readonly #targets: Targets;
  readonly #patience: Patience;
  #answers = new Map<string, string>();

  constructor(players: ReadonlyMap<string, Player>, servers: Servers, targets: Targets, patience: Patience) {
    this.#players = players;
    this.#servers = servers;
    this.#targets = targets;
    this.#patience = patience;
  }

  /** The answers since they were last taken, by the ids of the steps. */
  takeAnswers(): Map<string, string> {
    const answers = this.#answers;
    this.#answers = new Map();
    return answers;
  }

  async do(step: Step): Promise<void> {
    switch (step.type) {
      case "connect":
      case "return":
        return this.#player(step.client).connect(step.node, this.#servers.url(step.node));
      case "client-disconnect":
        return this.#untilGone(step.client, () => this.#player(step.client).disconnect());
      case "away":
        return this.#untilGone(step.client, () => this.#player(step.client).lose());
      case "kick":
        this.#servers.socket(step.client)?.disconnect(step.close);
        return;
      case "join":
        this.#servers.join(this.#servers.socket(step.client), step.rooms);
        return;
      case "ask-to-join":
        await this.#player(step.client).ask(JOIN, [step.rooms]);
        return;
      case "leave":
        this.#servers.leave(this.#servers.socket(step.client), step.room);
        return;
      case "data": {
        const socket = this.#servers.socket(step.client);
        if (socket) socket.data.value = step.value;
        return;
      }
      case "emit": {
        const operator = this.#targets.operator(step.node, step.target);
        (step.volatile ? operator.volatile : operator).compress(step.compress).emit(step.id, ...step.payload);
        return;
      }
      case "parent-emit":
        this.#servers.parent(step.node, step.parent)?.emit(step.id, ...step.payload);
        return;
      case "socket-emit": {
        const operator = this.#targets.broadcast(step.client, step.target);
        const flagged = step.volatile ? operator?.volatile : operator;
        flagged?.compress(step.compress).emit(step.id, ...step.payload);
        return;
      }
      case "direct": {
        const socket = this.#servers.socket(step.client);
        (step.volatile ? socket?.volatile : socket)?.compress(step.compress).emit(step.id, ...step.payload);
        return;
      }
      case "ask": {
        const operator = this.#targets.operator(step.node, step.target).timeout(step.timeoutMs);
        return this.#ask(step.id, step.payload, operator, step.promised);
      }
      case "socket-ask": {
        const operator = this.#targets.broadcast(step.client, step.target)?.timeout(step.timeoutMs);
        if (operator) await this.#ask(step.id, step.payload, operator, true);
        return;
      }
      case "ask-one": {
        const socket = this.#servers.socket(step.client);
        if (!socket) return;
        const answer = socket.timeout(step.timeoutMs).emitWithAck(step.id, ...step.payload);
        await this.#answered(step.id, answer);
        return;
      }
      case "remote-ask": {
        const remote = await this.#targets.remote(step.node, step.client);
        if (!remote) return;
        const answer = remote.timeout(step.timeoutMs).emitWithAck(step.id, ...step.payload);
        await this.#answered(step.id, answer);
        return;
      }
      case "remote-disconnect":
        (await this.#targets.remote(step.node, step.client))?.disconnect(step.close);
        return;
      case "ids": {
        const found = this.#targets.operator(step.node, step.target).allSockets();
        await this.#answered(
          step.id,
          found.then((ids) => [...ids].map((id) => this.#servers.nameOf(id)).sort()),
        );
        return;
      }
      case "remote-emit":
        (await this.#targets.remote(step.node, step.client))?.emit(step.id, ...step.payload);
        return;
      case "remote-join":
        (await this.#targets.remote(step.node, step.client))?.join(step.room);
        return;
      case "remote-leave":
        (await this.#targets.remote(step.node, step.client))?.leave(step.room);
        return;
      case "fetch": {
        const found = this.#targets.operator(step.node, step.target).timeout(FETCH_MS).fetchSockets();
        await this.#answered(
          step.id,
          found.then((sockets) => sockets.map((one) => this.#servers.look(one)).sort()),
        );
        return;
      }
      case "sockets-join":
        this.#targets.operator(step.node, step.target).socketsJoin([...step.rooms]);
        return;
      case "sockets-leave":
        this.#targets.operator(step.node, step.target).socketsLeave([...step.rooms]);
        return;
      case "disconnect-sockets":
        this.#targets.operator(step.node, step.target).disconnectSockets(step.close);
        return;
      case "server-side":
        this.#servers.tellOthers(step);
        return;
      case "server-side-ask": {
        const answers = this.#servers.askOthers(step);
        await this.#answered(
          step.id,
          answers.then((each) => each.map(describeValue).sort()),
        );
        return;
      }
      case "say":
        if (step.ack) await this.#answered(step.id, this.#player(step.client).ask(step.id, step.payload));
        else this.#player(step.client).say(step.id, step.payload);
        return;
    }
  }

  async #ask(
    id: string,
    payload: Payload,
    operator: ReturnType<Operator["timeout"]>,
    promised: boolean,
  ): Promise<void> {
    const { promise: answer, resolve } = Promise.withResolvers<unknown>();
    const end = (error: Error | null, responses: unknown[]) => {
      const each = (responses ?? []).map(describeValue).sort();
      resolve({ error: error?.message ?? "none", each });
    };
    if (promised) {
      operator.emitWithAck(id, ...payload).then(
        (responses) => end(null, responses),
        (error: Error & { readonly responses: unknown[] }) => end(error, error.responses),
      );
    } else operator.emit(id, ...payload, end);
    await this.#answered(id, answer);
  }

  async #answered(id: string, answer: Promise<unknown>): Promise<void> {
    const value = await answer.then(describeValue, (error: Error) => `rejected: ${error.message}`);
    this.#answers.set(id, value);
  }

  /** Both ends know of it then. */
  async #untilGone(client: string, go: () => void): Promise<void> {
    const socket = this.#servers.socket(client);
    go();
    await this.#patience.until(() => !socket?.connected && !this.#player(client).connected);
  }

  #player(name: string): Player {
    const player = this.#players.get(name);
    if (!player) throw new RangeError(`no client ${name}`);
    return player;
  }
}
