import { serve } from "../serve.ts";

// The in-memory adapter, no option set.
await serve({});
