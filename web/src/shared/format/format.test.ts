import { expect, test } from "vitest";
import { bytes, countdown, daysUntil, moment, rate, relative, shortKey, yuan } from "./format";

const NOW = Date.parse("2026-03-01T08:00:00Z");

test("times are those of the business's place", () => {
  expect(moment("2026-03-01T18:30:00Z", "zh-CN")).toContain("02 02:30");
  expect(moment(null, "en")).toBe("—");
});

test("sizes and speeds are decimal, speeds in bits", () => {
  expect([0, 999, 1000, 1_500_000, 200_000_000_000].map((one) => bytes(one))).toEqual([
    "0 B",
    "999 B",
    "1.00 kB",
    "1.50 MB",
    "200 GB",
  ]);
  expect(bytes(999_999)).toBe("1.00 MB");
  expect(rate(2_500_000)).toBe("20.0 Mbit/s");
  expect(rate(null)).toBe("—");
});

test("money has two decimals", () => {
  expect([0, 5, 3900, 123_456_789, -250].map((one) => yuan(one))).toEqual([
    "¥0.00",
    "¥0.05",
    "¥39.00",
    "¥1,234,567.89",
    "-¥2.50",
  ]);
});

test("days, countdowns and distances in time", () => {
  expect(daysUntil("2026-03-04T07:59:00Z", NOW)).toBe(3);
  expect(daysUntil("2026-02-01T00:00:00Z", NOW)).toBe(0);
  expect(countdown("2026-03-01T08:09:05Z", NOW)).toBe("9:05");
  expect(countdown("2026-03-01T07:00:00Z", NOW)).toBe("0:00");
  expect(relative("2026-02-26T08:00:00Z", "en", NOW)).toBe("3 days ago");
});

test("node keys lose their middle", () => {
  expect(shortKey(`nodekey:${"ab".repeat(32)}`)).toBe("ababab…abab");
});
