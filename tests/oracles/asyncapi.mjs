// Reads AsyncAPI documents from standard input, a JSON array, and prints what the project's own parser says of each.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const parser = new Parser();
const said = [];
for (const given of JSON.parse(readFileSync(0, "utf8"))) {
  const { document, diagnostics } = await parser.parse(JSON.stringify(given));
  said.push({
    channels: document ? document.channels().all().map((channel) => channel.address()) : [],
    operations: document ? document.operations().all().map((operation) => `${operation.action()} ${operation.id()}`) : [],
    diagnostics: diagnostics.map(({ code, severity, message, path }) => ({ code, severity, message, path: path.join(".") })),
  });
}
console.log(JSON.stringify(said));
