import { expect, test } from "vitest";
import { judge, read } from "./netcheck";

const MINE = [1, 2, 3].map((slot) => ({
  id: 930 + slot,
  code: `derp${slot}`,
  name: `DERP ${slot}`,
}));
const GOOD = `
Report:
	* Time: 2026-11-26T01:00:00Z
	* UDP: true
	* IPv4: yes, 198.51.100.7:41641
	* MappingVariesByDestIP: false
	* Nearest DERP: DERP 2
	* DERP latency:
		- derp2: 8.3ms   (DERP 2)
		- derp1: 12.4ms  (DERP 1)
		- derp3: 950.5µs (DERP 3)
		- hkg: 40ms    (Hong Kong)
`;
const keys = (text: string, mine = MINE) => judge(read(text), mine).map((one) => one.key);

test("a good report says that the relays are used", () => {
  expect(keys(GOOD)).toEqual(["nearestMine", "regionsOk", "udpOk"]);
  expect(read(GOOD)?.latencies.at(2)).toEqual({
    code: "derp3",
    milliseconds: 0.9505,
    name: "DERP 3",
  });
});

test("a map that is not applied shows no region of ours", () => {
  const text = GOOD.split("\n")
    .filter((line) => !/derp\d/.test(line))
    .join("\n")
    .replace("DERP 2", "Hong Kong");
  const found = judge(read(text), MINE);
  expect(found.map((one) => one.key)).toEqual(["regionsMissing", "nearestOther", "udpOk"]);
  expect(found[0]?.params).toEqual({ regions: "931, 932, 933" });
});

test("a blocked port shows as a region without latency", () => {
  expect(keys(GOOD.replace("12.4ms ", ""))).toEqual([
    "regionSilent",
    "nearestMine",
    "regionsOk",
    "udpOk",
  ]);
});

test("blocked UDP and no relay at all are told first", () => {
  const text = "\t* UDP: false\n\t* Nearest DERP: unknown (no response to latency probes)\n";
  expect(keys(text)).toEqual(["regionsMissing", "udpBlocked", "nearestUnknown"]);
});

test("other text is not judged", () => {
  expect(keys("ping: unknown host")).toEqual(["notNetcheck"]);
  expect(keys("")).toEqual(["notNetcheck"]);
});
