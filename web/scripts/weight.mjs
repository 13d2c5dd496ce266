// Says what a customer loads before he sees his home page, and fails when it is too much.
import { existsSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT_KB = 350;
// What a browser fetches from the address bar to the home page: the entry, the language, the frame
// around the pages, the page itself, and what each of them imports.
const STARTS = [
  "index.html",
  "src/app/start.tsx",
  "src/shared/i18n/zh-CN/index.ts",
  "node_modules/antd/locale/zh_CN.js",
  "src/app/Door.tsx",
  "src/features/door/LoginPage.tsx",
  "frame",
  "src/features/home/HomePage.tsx",
];

if (!existsSync("dist/.vite/manifest.json")) {
  process.stdout.write("weight: dist/ is not built; run `npm run build` first\n");
  process.exit(1);
}
const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8"));
const files = new Set(["index.html"]);
function add(name) {
  const entry = manifest[name] ?? Object.values(manifest).find((one) => one.name === name);
  if (!entry) throw new Error(`${name} is not in the manifest: a chunk was renamed or merged`);
  if (files.has(entry.file)) return;
  files.add(entry.file);
  for (const style of entry.css ?? []) files.add(style);
  for (const other of entry.imports ?? []) add(other);
}
for (const start of STARTS) add(start);
let total = 0;
for (const file of [...files].sort()) {
  const size = gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length;
  total += size;
  process.stdout.write(`${(size / 1000).toFixed(1).padStart(8)} kB  ${file}\n`);
}
const kilobytes = total / 1000;
process.stdout.write(
  `first load of a customer: ${kilobytes.toFixed(1)} kB gzip (limit ${LIMIT_KB})\n`,
);
if (kilobytes > LIMIT_KB) process.exit(1);
