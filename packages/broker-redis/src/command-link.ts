import { BrokerError } from "@holdfast/broker";
import type { Address, Connection, Credentials } from "./connection.ts";
import { KeptConnection, type KeptSettings } from "./kept-connection.ts";
import { remedyFor } from "./redis-error.ts";
import { RedisError, type Reply } from "./resp.ts";

export interface LinkSettings extends KeptSettings {
  /** Bytes of commands that wait for their answer. */
  readonly maxPendingBytes: number;
}

export interface Command {
  readonly bytes: Buffer;
  /** The same with the script's text, for a server that does not know it yet. */
  readonly withScript?: () => Buffer;
  /** Doing it twice does no harm, so it is sent again when its answer was lost. */
  readonly repeatable: boolean;
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
  readonly command: Command;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
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
  readonly #maxPendingBytes: number;
  readonly #jobs = new Set<Job>();
  #ready: Connection | undefined;
  #refusal: BrokerError | undefined;
  #pendingBytes = 0;
  #closed = false;

  constructor(host: LinkHost, credentials: Credentials, settings: LinkSettings) {
    this.#host = host;
    this.#maxPendingBytes = settings.maxPendingBytes;
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
   * @throws BrokerError `BROKER_UNAVAILABLE`, `BROKER_CLOSED`; LostAnswer for what may not be repeated; RedisError that
   *   the server answered, `MOVED` included.
   */
  run(command: Command): Promise<Reply> {
    if (this.#closed) return Promise.reject(new Retired("The server was left."));
    if (this.#refusal) return Promise.reject(this.#refusal);
    if (this.#pendingBytes + command.bytes.length > this.#maxPendingBytes)
      return Promise.reject(new BrokerError("BROKER_UNAVAILABLE", "Too many bytes wait for the server."));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#end(job, () => reject(new BrokerError("BROKER_UNAVAILABLE", "No answer in time."))),
        Math.max(0, command.deadline - performance.now()),
      );
      const job: Job = { command, resolve, reject, timer, sent: undefined };
      this.#pendingBytes += command.bytes.length;
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
      if (job.sent && !job.command.repeatable)
        this.#end(job, () => job.reject(new LostAnswer("The server was left.")));
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
  }

  #down(error: Error): void {
    this.#ready = undefined;
    this.#refusal = this.#host.down(error);
    for (const job of [...this.#jobs]) {
      if (this.#refusal) this.#end(job, () => job.reject(this.#refusal as BrokerError));
      else if (job.sent && !job.command.repeatable)
        this.#end(job, () => job.reject(new LostAnswer(error.message)));
      job.sent = undefined;
    }
  }

  #send(job: Job, connection: Connection, bytes = job.command.bytes): void {
    job.sent = connection;
    connection.send(bytes, (reply) => this.#answered(job, connection, reply));
  }

  #answered(job: Job, connection: Connection, reply: Reply): void {
    if (!this.#jobs.has(job)) return;
    if (!(reply instanceof RedisError)) {
      this.#end(job, () => job.resolve(reply));
      return;
    }
    const remedy = remedyFor(reply);
    if (remedy.type === "script" && job.command.withScript)
      this.#send(job, connection, job.command.withScript());
    else if (remedy.type === "wait") {
      job.sent = undefined;
      setTimeout(() => this.#sendAgain(job), WAIT_MS).unref();
    } else if (remedy.type === "primary") {
      job.sent = undefined;
      connection.close(reply);
    } else this.#end(job, () => job.reject(reply));
  }

  #sendAgain(job: Job): void {
    if (this.#jobs.has(job) && !job.sent && this.#ready) this.#send(job, this.#ready);
  }

  #end(job: Job, settle: () => void): void {
    if (!this.#jobs.delete(job)) return;
    clearTimeout(job.timer);
    this.#pendingBytes -= job.command.bytes.length;
    settle();
  }
}
