import { Command } from "commander";
import { runServer } from "../run-server.ts";
import { variablesHelp } from "../variables-help.ts";

export function apiCommand(onExit: (code: number) => void): Command {
  return new Command("api")
    .description("Run a publish API. Its settings are environment variables.")
    .addHelpText("after", variablesHelp("api"))
    .addHelpText("after", "\nExample:\n  PORT=3001 HOLDFAST_BASE_PATH=/api holdfast api")
    .action(async () => {
      // Loaded here alone, so that the other commands start without it.
      const { readApiConfig, startApi } = await import("@holdfast/server");
      onExit(await runServer(() => startApi(readApiConfig(process.env))));
    });
}
