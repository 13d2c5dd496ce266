/** No page asks the same thing more often than every five seconds; what is live comes by a stream. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const SOURCE = join(import.meta.dirname, "..");
const AT_MOST_EVERY_MS = 5000;

/** Every number in what a query says of asking again, with where it stands. */
function intervals(): { place: string; ms: number[] }[] {
  const found: { place: string; ms: number[] }[] = [];
  const names = readdirSync(SOURCE, { recursive: true, encoding: "utf8" });
  for (const name of names.filter((one) => /\.tsx?$/.test(one) && !one.includes(".test."))) {
    const text = readFileSync(join(SOURCE, name), "utf8");
    if (!text.includes("refetchInterval")) continue;
    const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
    const constants = new Map<string, number>();
    const walk = (node: ts.Node, into: number[] | null): void => {
      if (
        ts.isVariableDeclaration(node) &&
        node.initializer &&
        ts.isNumericLiteral(node.initializer)
      )
        constants.set(node.name.getText(), Number(node.initializer.text));
      if (into && ts.isNumericLiteral(node) && !ts.isElementAccessExpression(node.parent))
        into.push(Number(node.text));
      if (into && ts.isIdentifier(node) && constants.has(node.text))
        into.push(constants.get(node.text) as number);
      const ms: number[] = [];
      const isAsked = ts.isPropertyAssignment(node) && node.name.getText() === "refetchInterval";
      if (isAsked) found.push({ place: `${name}: ${node.getText()}`, ms });
      node.forEachChild((child) => walk(child, isAsked ? ms : into));
    };
    walk(file, null);
  }
  return found;
}

test("queries that ask again wait five seconds at least", () => {
  const found = intervals();
  expect(found.length).toBeGreaterThan(10);
  for (const { place, ms } of found) {
    const told = ms.filter((one) => one > 0);
    expect(told.length, place).toBeGreaterThan(0);
    expect(Math.min(...told), place).toBeGreaterThanOrEqual(AT_MOST_EVERY_MS);
  }
});
