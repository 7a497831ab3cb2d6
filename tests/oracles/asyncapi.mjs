// Reads an AsyncAPI document from standard input with the project's own parser and prints what it says, as JSON.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
console.log(JSON.stringify({
  channels: document ? document.channels().all().map((channel) => channel.address()) : [],
  operations: document ? document.operations().all().map((operation) => `${operation.action()} ${operation.id()}`) : [],
  diagnostics: diagnostics.map(({ code, severity, message, path }) => ({ code, severity, message, path: path.join(".") })),
}));
