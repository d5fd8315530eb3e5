// Checks dashboards against Grafana's own types. DASHBOARDS is a folder of their JSON; prints what the compiler says.
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const here = fileURLToPath(new URL(".", import.meta.url));
const sources = new Map();
for (const file of readdirSync(process.env.DASHBOARDS).filter((name) => name.endsWith(".json"))) {
  const json = readFileSync(join(process.env.DASHBOARDS, file), "utf8");
  sources.set(
    join(here, `${basename(file, ".json")}.dashboard.ts`),
    // JSON writes a member of an enumeration as its value.
    `import type { Dashboard } from "@grafana/schema";
     type Plain<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
     export const dashboard: Plain<Dashboard> = ${json};`,
  );
}
const options = {
  strict: true, noEmit: true, skipLibCheck: true, types: [], target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
};
const host = ts.createCompilerHost(options);
const { fileExists, readFile, getSourceFile } = host;
host.fileExists = (name) => sources.has(name) || fileExists(name);
host.readFile = (name) => sources.get(name) ?? readFile(name);
host.getSourceFile = (name, version, ...rest) =>
  sources.has(name) ? ts.createSourceFile(name, sources.get(name), version) : getSourceFile(name, version, ...rest);
const program = ts.createProgram([...sources.keys()], options, host);
const said = ts.getPreEmitDiagnostics(program).map((it) => {
  const at = it.file && it.start !== undefined ? it.file.getLineAndCharacterOfPosition(it.start).line : 0;
  return `${it.file ? basename(it.file.fileName) : ""}:${at}: ${ts.flattenDiagnosticMessageText(it.messageText, " ")}`;
});
console.log(JSON.stringify({ checked: sources.size, said }));
