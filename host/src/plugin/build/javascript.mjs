// Run by `lockgate plugin build` with the module, the WIT, whether WASI is wanted, and the file to write.
import { writeFile } from "node:fs/promises";

import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, witPath, worldName, wasi, out] = process.argv.slice(1);
// No host offers HTTP. Without the others, the component imports nothing but the interface.
const disableFeatures = ["http", "fetch-event", ...(wasi === "wasi" ? [] : ["clocks", "random", "stdio"])];
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(out, component);
