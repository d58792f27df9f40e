import { openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import type { BrokerServerConfig } from "./config.ts";
import { createLog } from "./log.ts";
import { type RunningServer, runningServer } from "./running-server.ts";

/**
 * The embedded broker, for socket servers and publish APIs in other processes.
 *
 * @throws BrokerError as `openEmbeddedBroker` and `serveBroker` do
 */
export async function startBrokerServer(config: BrokerServerConfig): Promise<RunningServer> {
  const log = createLog("broker", config);
  const host = config.host ?? "::";
  const broker = openEmbeddedBroker(config.dataFile === undefined ? {} : { path: config.dataFile });
  if (config.dataFile === undefined) log.warn("HOLDFAST_DATA is not set: the logs end with this process");
  const served = await serveBroker(broker, {
    host,
    port: config.port,
    token: config.token,
    onEnd: (end) => {
      if (end.code !== undefined) log.warn(end, "a connection was ended");
    },
  }).catch(async (error) => {
    await broker.close();
    throw error;
  });
  log.info({ address: host, port: served.port }, "listening");
  const end = async () => {
    await served.close();
    await broker.close();
    log.info("closed");
  };
  return runningServer(host, served.port, end);
}
