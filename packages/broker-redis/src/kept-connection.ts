import { type Address, Connection, type ConnectionSettings, type Credentials } from "./connection.ts";

export interface KeptSettings extends ConnectionSettings {
  /** Back-off between attempts: a random part of this, doubled each time. */
  readonly minBackOffMs: number;
  readonly maxBackOffMs: number;
}

export interface KeptHost {
  /** Where the server is now. Asked before each attempt. */
  locate(): Promise<Address>;
  /** There is a connection. What this rejects with ends it, and another is made. */
  up(connection: Connection): Promise<void> | void;
  /** It is lost, or could not be made. */
  down(error: Error): void;
}

/** A connection that is made again whenever it is lost, with back-off, until closed. */
export class KeptConnection {
  readonly #host: KeptHost;
  readonly #credentials: Credentials;
  readonly #settings: KeptSettings;
  #connection: Connection | undefined;
  #attempts = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(host: KeptHost, credentials: Credentials, settings: KeptSettings) {
    this.#host = host;
    this.#credentials = credentials;
    this.#settings = settings;
    // The owner may use it from the next turn on.
    this.#retry = setTimeout(() => void this.#connect(), 0);
  }

  /** The connection that is entered; undefined while there is none. */
  get current(): Connection | undefined {
    return this.#connection;
  }

  /** Gives the present connection up for another. */
  renew(error: Error): void {
    this.#connection?.close(error);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#connection?.close(new Error("It was closed here."));
  }

  async #connect(): Promise<void> {
    let connection: Connection | undefined;
    try {
      const address = await this.#host.locate();
      if (this.#closed) return;
      connection = await Connection.open(address, this.#credentials, this.#settings);
      const made = connection;
      made.onClose((error) => this.#lost(made, error));
      if (this.#closed) {
        made.close(new Error("It was closed here."));
        return;
      }
      this.#connection = made;
      await this.#host.up(made);
      this.#attempts = 0;
    } catch (error) {
      if (connection && this.#connection === connection) connection.close(error as Error);
      else if (!connection) this.#again(error as Error);
    }
  }

  #lost(connection: Connection, error: Error): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#again(error);
  }

  #again(error: Error): void {
    if (this.#closed) return;
    const { minBackOffMs, maxBackOffMs } = this.#settings;
    const longest = Math.min(maxBackOffMs, minBackOffMs * 2 ** Math.min(this.#attempts++, 16));
    this.#retry = setTimeout(() => void this.#connect(), Math.random() * longest);
    this.#host.down(error);
  }
}
