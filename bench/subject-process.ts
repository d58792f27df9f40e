import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type CallMessage, type Calls, CPU_TIME_CALL, MEMORY_CALL, type ReplyMessage } from "./calls.ts";
import { readCpuTime } from "./cpu-time.ts";
import { readMemory } from "./memory.ts";
import { type Pinning, pinningPrefix, type Role } from "./pinning.ts";

/** How long a child may take to load its modules and listen. */
const READY_TIMEOUT_MS = 20_000;

interface Waiting {
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A process whose costs can be read, ours or not. */
export interface Measured {
  /** CPU time used since the start, all threads, user and kernel, in microseconds. */
  cpuTime(): Promise<number>;
  /** Resident memory, in bytes. */
  memory(): Promise<number>;
  /** Rejects when the process ends before it is stopped. */
  readonly failure: Promise<never>;
  /** Ends the process and waits for its end. Idempotent. */
  stop(): Promise<void>;
}

/** A Node.js process of a bench, on its own core, that answers calls (see `answerHarness`). */
export class SubjectProcess<C extends Calls> implements Measured {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  readonly #failure = Promise.withResolvers<never>();
  #lastId = 0;
  #stopping = false;

  /** Starts a module as a process and waits until it answers. Its output goes to our standard error. */
  static async start<C extends Calls>(module: URL, role: Role, pinning: Pinning): Promise<SubjectProcess<C>> {
    const path = fileURLToPath(module);
    const [execPath = process.execPath, ...rest] = [...pinningPrefix(pinning, role), process.execPath];
    const child = fork(path, [], {
      execPath,
      execArgv: [...rest, "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", 2, 2, "ipc"],
    });
    const subject = new SubjectProcess<C>(child, path);
    try {
      await subject.#ready();
    } catch (error) {
      await subject.stop();
      throw error;
    }
    return subject;
  }

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        if (!this.#stopping) this.#fail(new Error(`${name} ended (${signal ?? `exit code ${code}`})`));
        resolve();
      });
      child.once("error", (error) => {
        this.#fail(error);
        resolve();
      });
    });
    this.#failure.promise.catch(() => {});
    child.on("message", (message: ReplyMessage) => this.#take(message));
  }

  /** Rejects when the process ends before it is stopped. To be raced against waiting for another process. */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  /** @throws Error with the handler's message, or that of the process's end. */
  call<Name extends keyof C & string>(name: Name, argument: C[Name]["argument"]): Promise<C[Name]["reply"]> {
    return this.#request(name, argument);
  }

  /** As `call`, for what is on the measured path: no reply is made, so none is paid for. */
  tell<Name extends keyof C & string>(name: Name, argument: C[Name]["argument"]): void {
    this.#send({ name, argument });
  }

  /** CPU time used since the start, all threads, user and kernel, in microseconds. */
  async cpuTime(): Promise<number> {
    const fromSystem = this.#child.pid === undefined ? undefined : readCpuTime(this.#child.pid);
    return fromSystem ?? Number(await this.#request(CPU_TIME_CALL, null));
  }

  /** Resident memory, in bytes. */
  async memory(): Promise<number> {
    const fromSystem = this.#child.pid === undefined ? undefined : readMemory(this.#child.pid);
    return fromSystem ?? Number(await this.#request(MEMORY_CALL, null));
  }

  /** Ends the process and waits for its end. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  async #ready(): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => ready.reject(new Error(`${this.#name} was not ready within ${READY_TIMEOUT_MS} ms`)),
      READY_TIMEOUT_MS,
    );
    const onMessage = (message: ReplyMessage) => {
      if (message.type === "ready") ready.resolve();
    };
    this.#child.on("message", onMessage);
    try {
      await Promise.race([ready.promise, this.failure]);
    } finally {
      clearTimeout(timer);
      this.#child.off("message", onMessage);
    }
  }

  #request(name: string, argument: unknown): Promise<unknown> {
    const id = ++this.#lastId;
    const reply = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#send({ name, argument, id });
    return Promise.race([reply, this.failure]);
  }

  #send(message: CallMessage): void {
    this.#child.send(message, (error) => {
      if (error && !this.#stopping) this.#fail(error);
    });
  }

  #take(message: ReplyMessage): void {
    if (message.type === "ready") return;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === "reply") waiting?.resolve(message.reply);
    else waiting?.reject(new Error(message.message));
  }

  #fail(error: Error): void {
    this.#failure.reject(error);
  }
}
