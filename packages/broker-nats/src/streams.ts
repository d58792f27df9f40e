import { BrokerError } from "@holdfast/broker";
import {
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import type { Ready } from "./connection.ts";
import { isStreamMissing } from "./failures.ts";
import type { Settings } from "./options.ts";
import type { Subjects } from "./subjects.ts";

/** What the log's streams are found to be: that of the first partition, which stands for all. */
export interface StreamFacts {
  readonly storage: "file" | "memory";
  readonly replicas: number;
}

const MS = 1_000_000;
/** Message ids are of use only while two writes are on their way at the same time. */
const DUPLICATE_MS = 2 * 60_000;

/**
 * Makes the streams that are not there, and refuses those which are there and are not what this node means by them: with
 * another number of partitions the same channel would have two logs.
 *
 * @throws BrokerError `BROKER_UNAVAILABLE`
 */
export async function prepareStreams(
  ready: Ready,
  subjects: Subjects,
  settings: Settings,
): Promise<StreamFacts> {
  const first = await prepare(ready, logConfig(0, subjects, settings));
  await Promise.all(
    Array.from({ length: subjects.partitions - 1 }, (_, n) =>
      prepare(ready, logConfig(n + 1, subjects, settings)),
    ),
  );
  await Promise.all(
    Array.from({ length: subjects.partitions }, (_, n) => prepare(ready, keyConfig(n, subjects, settings))),
  );
  await prepare(ready, leaseConfig(subjects, settings));
  return {
    storage: first.config.storage === StorageType.Memory ? "memory" : "file",
    replicas: first.config.num_replicas,
  };
}

type Wanted = Partial<StreamConfig> & Pick<StreamConfig, "name" | "subjects" | "description">;

async function prepare(ready: Ready, wanted: Wanted): Promise<StreamInfo> {
  const { streams } = ready.manager;
  let info: StreamInfo;
  try {
    info = await streams.info(wanted.name);
  } catch (error) {
    if (!isStreamMissing(error)) throw error;
    info = await streams.add(wanted);
  }
  const { config } = info;
  const same =
    config.description === wanted.description &&
    config.subjects.join() === wanted.subjects.join() &&
    config.republish?.dest === wanted.republish?.dest;
  if (same) return info;
  throw new BrokerError(
    "BROKER_UNAVAILABLE",
    `The stream ${wanted.name} is "${config.description}" there, and "${wanted.description}" here: all nodes name the same prefix and number of partitions.`,
  );
}

function logConfig(partition: number, subjects: Subjects, settings: Settings): Wanted {
  return {
    ...common(settings),
    name: subjects.stream(partition),
    description: `Holdfast: logs, partition ${partition + 1} of ${subjects.partitions}`,
    subjects: [subjects.logs(partition)],
    republish: { src: subjects.logs(partition), dest: subjects.live(partition) },
    max_age: settings.forgetChannelAfterMs * MS,
    ...(settings.maxStreamBytes > 0 && { max_bytes: settings.maxStreamBytes }),
  };
}

function keyConfig(partition: number, subjects: Subjects, settings: Settings): Wanted {
  return {
    ...common(settings),
    name: subjects.keyStream(partition),
    description: `Holdfast: idempotency keys, partition ${partition + 1} of ${subjects.partitions}`,
    subjects: [subjects.keys(partition)],
    max_msgs_per_subject: 1,
    // A key's claim is replaced by where its entry is, shortly after: its time counts from then.
    max_age: settings.idempotencyMs * MS,
  };
}

function leaseConfig(subjects: Subjects, settings: Settings): Wanted {
  return {
    ...common(settings),
    name: subjects.leaseStream,
    description: "Holdfast: leases",
    subjects: [subjects.leases],
    max_msgs_per_subject: 1,
  };
}

function common({ storage, replicas }: Settings): Partial<StreamConfig> {
  return {
    retention: RetentionPolicy.Limits,
    storage: storage === "memory" ? StorageType.Memory : StorageType.File,
    num_replicas: replicas,
    discard: DiscardPolicy.New,
    duplicate_window: DUPLICATE_MS * MS,
    // Copies answer reads that may be behind: what was accepted must show at once.
    allow_direct: false,
    deny_delete: false,
  };
}
