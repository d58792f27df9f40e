import { BrokerError } from "@holdfast/broker";
import type { Address, Argument, Connection, Credentials, Reply } from "./connection.ts";
import type { RedisBrokerEvent } from "./events.ts";
import { KeptConnection, type KeptSettings } from "./kept-connection.ts";
import { isAnswer, remedyFor } from "./redis-error.ts";
import { eventsOf, readServerFacts } from "./server-facts.ts";

export interface LinkSettings extends KeptSettings {
  /** Bytes of commands that wait for their answer. */
  readonly maxPendingBytes: number;
  readonly onEvent: (event: RedisBrokerEvent) => void;
  readonly onListenerError: (error: unknown) => void;
}

export interface Command {
  readonly name: string;
  readonly args: readonly Argument[];
  /** The arguments of EVAL, for a server that does not know the script yet. */
  readonly withScript?: () => readonly Argument[];
  /**
   * What is sent when the answer was lost: this one may have been done, by a server whose log others will never see, so
   * another attempt has to be one of its own. Undefined where doing it twice does harm.
   */
  readonly again?: () => Command;
  /** By `performance.now()`. */
  readonly deadline: number;
}

/** The connection was lost after the command was sent: nobody knows whether it was done. */
export class LostAnswer extends Error {
  override readonly name = "LostAnswer";
}

/** The link was retired before the command was done: it may be asked elsewhere. */
export class Retired extends Error {
  override readonly name = "Retired";
}

export interface LinkHost {
  locate(): Promise<Address>;
  /** There is a connection; commands go once this has resolved. */
  up(connection: Connection): Promise<void>;
  /** `error` is BrokerError where calls fail at once meanwhile. */
  down(error: Error): BrokerError | undefined;
}

interface Job {
  command: Command;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
  readonly bytes: number;
  sent: Connection | undefined;
}

const WAIT_MS = 50;

/**
 * Commands to one server, over a connection that is made again when it is lost. A command waits for the connection until
 * its deadline. What the server refuses because it can't now, or is no primary now, is asked again until then.
 */
export class CommandLink {
  readonly #kept: KeptConnection;
  readonly #host: LinkHost;
  readonly #settings: LinkSettings;
  readonly #jobs = new Set<Job>();
  #ready: Connection | undefined;
  #refusal: BrokerError | undefined;
  #pendingBytes = 0;
  #closed = false;

  constructor(host: LinkHost, credentials: Credentials, settings: LinkSettings) {
    this.#host = host;
    this.#settings = settings;
    this.#kept = new KeptConnection(
      {
        locate: () => host.locate(),
        up: (connection) => this.#up(connection),
        down: (error) => this.#down(error),
      },
      credentials,
      settings,
    );
  }

  get address(): Address | undefined {
    return this.#ready?.address;
  }

  get isReady(): boolean {
    return this.#ready !== undefined;
  }

  /**
   * @throws BrokerError `BROKER_UNAVAILABLE`, `BROKER_CLOSED`; LostAnswer for what may not be repeated; ReplyError that
   *   the server answered, `MOVED` included.
   */
  run(command: Command): Promise<Reply> {
    if (this.#closed) return Promise.reject(new Retired("The server was left."));
    if (this.#refusal) return Promise.reject(this.#refusal);
    const bytes = sizeOf(command);
    if (this.#pendingBytes + bytes > this.#settings.maxPendingBytes)
      return Promise.reject(new BrokerError("BROKER_UNAVAILABLE", "Too many bytes wait for the server."));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#end(job, () => reject(new BrokerError("BROKER_UNAVAILABLE", "No answer in time."))),
        Math.max(0, command.deadline - performance.now()),
      );
      const job: Job = { command, resolve, reject, timer, bytes, sent: undefined };
      this.#pendingBytes += bytes;
      this.#jobs.add(job);
      if (this.#ready) this.#send(job, this.#ready);
    });
  }

  renew(error: Error): void {
    this.#kept.renew(error);
  }

  /** Ends it since its server has nothing to do with this any more: what may be asked elsewhere is rejected as Retired. */
  retire(): void {
    for (const job of [...this.#jobs])
      if (job.sent) this.#end(job, () => job.reject(new LostAnswer("The server was left.")));
    this.close(new Retired("The server was left."));
  }

  close(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#kept.close();
    for (const job of [...this.#jobs]) this.#end(job, () => job.reject(error));
  }

  async #up(connection: Connection): Promise<void> {
    await this.#host.up(connection);
    if (this.#kept.current !== connection) return;
    this.#refusal = undefined;
    this.#ready = connection;
    for (const job of this.#jobs) this.#send(job, connection);
    void this.#tellOf(connection);
  }

  async #tellOf(connection: Connection): Promise<void> {
    const { onEvent, onListenerError } = this.#settings;
    const { host, port } = connection.address;
    // It was lost meanwhile, or says nothing of itself.
    const facts = await readServerFacts(connection).catch(() => undefined);
    if (!facts || this.#ready !== connection) return;
    try {
      for (const event of eventsOf(`${host}:${port}`, facts)) onEvent(event);
    } catch (error) {
      onListenerError(error);
    }
  }

  #down(error: Error): void {
    this.#ready = undefined;
    this.#refusal = this.#host.down(error);
    for (const job of [...this.#jobs]) {
      if (this.#refusal) this.#end(job, () => job.reject(this.#refusal as BrokerError));
      else if (job.sent && !job.command.again)
        this.#end(job, () => job.reject(new LostAnswer(error.message)));
      else if (job.sent) job.command = (job.command.again as () => Command)();
      job.sent = undefined;
    }
  }

  #send(job: Job, connection: Connection, name = job.command.name, args = job.command.args): void {
    job.sent = connection;
    connection.ask(name, args).then(
      // Of an attempt that was given up, nobody asks any more.
      (reply) => job.sent === connection && this.#end(job, () => job.resolve(reply)),
      // What a lost connection means for it is decided when that is told.
      (error: Error) => isAnswer(error) && this.#refused(job, connection, error),
    );
  }

  #refused(job: Job, connection: Connection, error: Error): void {
    if (!this.#jobs.has(job) || job.sent !== connection) return;
    const remedy = remedyFor(error);
    if (remedy.type === "script" && job.command.withScript)
      this.#send(job, connection, "EVAL", job.command.withScript());
    else if (remedy.type === "wait") {
      job.sent = undefined;
      setTimeout(() => this.#sendAgain(job), WAIT_MS).unref();
    } else if (remedy.type === "primary") {
      job.sent = undefined;
      connection.close(error);
    } else this.#end(job, () => job.reject(error));
  }

  #sendAgain(job: Job): void {
    if (this.#jobs.has(job) && !job.sent && this.#ready) this.#send(job, this.#ready);
  }

  #end(job: Job, settle: () => void): void {
    if (!this.#jobs.delete(job)) return;
    clearTimeout(job.timer);
    this.#pendingBytes -= job.bytes;
    settle();
  }
}

/** A command that may be done twice: each attempt is made anew, so that no two carry the same random text. */
export function repeatable(make: () => Omit<Command, "again" | "deadline">, deadline: number): Command {
  const attempt = (): Command => ({ ...make(), deadline, again: attempt });
  return attempt();
}

/** About so many bytes go over the wire. */
function sizeOf({ name, args }: Command): number {
  let bytes = name.length;
  for (const arg of args) bytes += (typeof arg === "number" ? 8 : arg.length) + 8;
  return bytes;
}
