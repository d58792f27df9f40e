import { setTimeout } from "node:timers/promises";
import { Hub, KeyedState, type KeyedStateOptions } from "@holdfast/hub";
import type { Namespace } from "socket.io";
import type { Adapter } from "socket.io-adapter";
import { HoldfastAdapter } from "./cluster/adapter.ts";
import { Cluster } from "./cluster/cluster.ts";
import type { Emitted } from "./cluster/emit-queue.ts";
import { whenBound } from "./cluster/engine-adoption.ts";
import { Membership } from "./cluster/membership.ts";
import { type Room, roomChannel } from "./cluster/room-channel.ts";
import { type HoldfastCounters, zeroHoldfastCounters } from "./counters.ts";
import { FanOut } from "./fan-out/fan-out.ts";
import { slimConnections } from "./fan-out/handshake-request.ts";
import { adoptEngine, type Forwarding } from "./forwarding/adopt-engine.ts";
import { type HoldfastOptions, readHoldfastOptions } from "./options.ts";
import { RoomPresence } from "./presence/room-presence.ts";
import { Recovery } from "./recovery/recovery.ts";

/** How long a close waits at most for the other nodes to be told. */
const CLOSE_MS = 1_000;

/** A Socket.IO server's part in a cluster of them. */
export interface Holdfast {
  /** For `new Server(http, { ...holdfast.options })`. */
  readonly options: { readonly adapter: typeof Adapter; readonly wsEngine: FanOut["wsEngine"] };
  /** Who writes to this server's clients: for `bindChannels`. */
  readonly fanOut: FanOut;
  /** The channels of this node: for `bindChannels`, and to ask whether the node is ready. */
  readonly hub: Hub;
  readonly counters: Readonly<HoldfastCounters>;
  /** Resolves once this node is a member of the cluster and hears the others. Until then it serves its own clients. */
  readonly ready: Promise<void>;
  /**
   * Emits, and says what became of it.
   *
   * @param target what to call `emit` of: the server, a namespace, or what `to`, `in`, `except` and the like return
   * @returns once it is accepted: where each room's log has it. Empty for what goes into no log (`local`, `volatile`)
   * @throws BrokerError as `Broker.publish`; HoldfastError `EMITS_TOO_MANY`
   */
  emit(target: EmitTarget, event: string, ...args: unknown[]): Promise<readonly Emitted[]>;
  /** Who is in which room, on all nodes: those whom the option `presence` shows. */
  readonly presence: Pick<RoomPresence, "members" | "follow" | "refresh">;
  /**
   * Opens a room's state: values by key, the same on all nodes. Close it when it is not needed any more.
   *
   * @throws HubError `HUB_OPTION_INVALID`; BrokerError as `KeyedState.open`
   */
  state(room: Room, options?: KeyedStateOptions, namespace?: string): Promise<KeyedState>;
  /** Leaves the cluster. Close the Socket.IO server first. The broker stays its maker's to close. Idempotent. */
  close(): Promise<void>;
}

export interface EmitTarget {
  emit(event: string, ...args: unknown[]): unknown;
}

/**
 * Makes a Socket.IO server one of a cluster of them, over a broker: rooms, emits, and everything that Socket.IO's
 * documentation says of several servers. See docs/socketio.md.
 *
 * @example
 * const holdfast = createHoldfast({ broker: openBroker("holdfast://token@broker:7420") });
 * const io = new Server(http, { ...holdfast.options });
 *
 * @throws BindingError `OPTION_INVALID`; HubError `HUB_OPTION_INVALID`
 */
export function createHoldfast(options: HoldfastOptions): Holdfast {
  const settings = readHoldfastOptions(options);
  const {
    broker,
    node,
    address,
    maxForwarding,
    retention,
    sessionSaveMs,
    maxQueuedBytes,
    presence: presenceOptions,
    hub: hubOptions,
    onEvent,
  } = settings;
  const hub = new Hub(broker, { ...hubOptions, node, onEvent });
  const membership = new Membership({ broker, node, onEvent });
  const presence = new RoomPresence(broker, node, presenceOptions, onEvent);
  const counters = zeroHoldfastCounters();
  const recovery = new Recovery({ hub, retention, sessionSaveMs, counters, onEvent });
  const fanOut = new FanOut({
    maxQueuedBytes,
    onSlow: ({ id }, queuedBytes) => {
      counters.cutOff++;
      onEvent({ type: "cut-off", code: "CLIENT_TOO_SLOW", socket: id, queuedBytes });
    },
    onMisfit: (reason) => onEvent({ type: "fan-out-ordinary", reason }),
  });
  const forwarding: Forwarding[] = [];
  const cluster = new Cluster({
    hub,
    members: membership,
    retention,
    counters,
    handOver: (sockets, packets, how) => fanOut.write(sockets, packets, how),
    handOverAll: (socket, packets, how) => fanOut.writeAll(socket, packets, how),
    recovery,
    onServer: (server) =>
      whenBound(server, (engine, http) => {
        forwarding.push(adoptEngine(engine, { membership, http, address, maxForwarding, counters, onEvent }));
        if (!settings.keepRequests) slimConnections(engine);
      }),
    onEvent,
  });
  const ready = Promise.all([cluster.control.listen(), membership.ready]).then(() => undefined);
  let closing: Promise<void> | undefined;
  const close = async () => {
    cluster.close();
    for (const one of forwarding) one.close();
    fanOut.close();
    // A broker that is away can't be told; it finds out when this node's time is over.
    const told = new AbortController();
    const late = setTimeout(CLOSE_MS, undefined, { signal: told.signal }).catch(() => undefined);
    const left = Promise.all([presence.close(), recovery.close()]);
    await Promise.race([left.then(() => membership.close()), late]);
    told.abort();
    await hub.close();
  };
  class ClusterAdapter extends HoldfastAdapter {
    constructor(namespace: Namespace) {
      super(namespace, cluster);
      presence.attach(namespace, this);
    }

    override init(): void {
      super.init();
      fanOut.watch(this.nsp);
    }
  }
  return {
    options: { adapter: ClusterAdapter, wsEngine: fanOut.wsEngine },
    fanOut,
    hub,
    counters,
    ready,
    async emit(target, event, ...args) {
      const emitted = await Promise.all(cluster.capture(() => target.emit(event, ...args)));
      return emitted.flat();
    },
    presence,
    state: (room, options, namespace = "/") => KeyedState.open(broker, roomChannel(namespace, room), options),
    close() {
      closing ??= close();
      return closing;
    },
  };
}
