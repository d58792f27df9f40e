#!/usr/bin/env node
import "./quiet-sqlite.ts";
import { run } from "./program.ts";

// Nothing may keep a command alive that has said its last word.
process.exit(await run(process.argv.slice(2)));
