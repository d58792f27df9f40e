import { Command } from "commander";
import { runServer } from "../run-server.ts";
import { variablesHelp } from "../variables-help.ts";

export function brokerCommand(onExit: (code: number) => void): Command {
  return new Command("broker")
    .description(
      "Run a broker for socket servers and publish APIs in other processes. Its settings are environment variables.",
    )
    .addHelpText("after", variablesHelp("broker"))
    .addHelpText(
      "after",
      "\nExample:\n  PORT=7420 HOLDFAST_DATA=channels.db HOLDFAST_BROKER_TOKEN=$(openssl rand -hex 32) holdfast broker",
    )
    .action(async () => {
      // Loaded here alone, so that the other commands start without it.
      const { readBrokerServerConfig, startBrokerServer } = await import("@holdfast/server");
      onExit(await runServer(() => startBrokerServer(readBrokerServerConfig(process.env))));
    });
}
