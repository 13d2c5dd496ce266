import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import en from "./en";
import enAdmin from "./en/admin";
import zh from "./zh-CN";
import zhAdmin from "./zh-CN/admin";

type Tree = { [key: string]: string | Tree };

/** Every text of a catalogue by its key; errors may stand in the server's own English. */
function flat(tree: Tree, prefix = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    if (prefix === "" && (key === "errors" || key === "reasons")) continue;
    const name = prefix ? `${prefix}.${key}` : key;
    if (typeof value === "string") found.set(name, value);
    else for (const [inner, text] of flat(value, name)) found.set(inner, text);
  }
  return found;
}

const holes = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((one) => one[1]).sort();

for (const [name, chinese, english] of [
  ["app", flat(zh as Tree), flat(en as Tree)],
  ["admin", flat(zhAdmin as Tree), flat(enAdmin as Tree)],
] as const) {
  test(`both languages have the same texts: ${name}`, () => {
    expect([...english.keys()].sort()).toEqual([...chinese.keys()].sort());
  });

  test(`texts fill in the same in both languages: ${name}`, () => {
    const differing = [...chinese].filter(
      ([key, text]) => holes(text).join() !== holes(english.get(key) ?? "").join(),
    );
    expect(differing).toEqual([]);
  });

  test(`no text is empty, and English has no Chinese: ${name}`, () => {
    expect([...chinese, ...english].filter(([, text]) => !text.trim())).toEqual([]);
    expect(
      [...english].filter(
        ([key, text]) => /\p{Script=Han}/u.test(text) && !key.startsWith("language."),
      ),
    ).toEqual([]);
  });
}

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

const SOURCES = files(join(import.meta.dirname, "..", "..")).filter(
  (path) => /\.tsx?$/.test(path) && !/i18n|\.test\.|schema\.d/.test(path),
);

test("pages hold no text of their own", () => {
  const own = SOURCES.flatMap((path) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => /\p{Script=Han}/u.test(line))
      .map((line) => `${path}: ${line.trim()}`),
  );
  expect(own).toEqual([]);
});

test("every key that a page names is in the catalogues", () => {
  const app = flat(zh as Tree);
  const admin = flat(zhAdmin as Tree);
  const missing: string[] = [];
  for (const path of SOURCES) {
    for (const [, key] of readFileSync(path, "utf8").matchAll(/\bt\(\s*"([^"]+)"/g)) {
      if (!key) continue;
      const [space, name] = key.includes(":") ? key.split(":") : ["app", key];
      const known = space === "admin" ? admin : app;
      if (!known.has(name ?? "")) missing.push(`${path}: ${key}`);
    }
  }
  expect(missing).toEqual([]);
});
