import { Command } from "commander";
import { runServer } from "../run-server.ts";
import { variablesHelp } from "../variables-help.ts";

export function serverCommand(onExit: (code: number) => void): Command {
  return new Command("server")
    .description("Run a socket server. Its settings are environment variables.")
    .addHelpText("after", variablesHelp("server"))
    .addHelpText("after", "\nExample:\n  PORT=3000 HOLDFAST_STATIC=page holdfast server")
    .action(async () => {
      // Loaded here alone, so that the other commands start without it.
      const { readSocketServerConfig, startSocketServer } = await import("@holdfast/server");
      onExit(await runServer(() => startSocketServer(readSocketServerConfig(process.env))));
    });
}
