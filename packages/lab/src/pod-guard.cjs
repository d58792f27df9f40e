// Loaded into the lab's own Node programs. Their end of the channel to the lab closes the moment the lab is gone,
// however it went; a pod without its lab goes too.
"use strict";

process.once("disconnect", () => process.exit(1));
// Listening for it must not by itself keep a program alive that has nothing left to do.
if (process.channel) process.channel.unref();
