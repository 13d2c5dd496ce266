import { describe, expect, it } from "vitest";
import { solve, zeroBits } from "./work";

describe("the proof of work", () => {
  it("counts the zero bits that a digest begins with", () => {
    expect(zeroBits(new Uint8Array([0x80]))).toBe(0);
    expect(zeroBits(new Uint8Array([0x01, 0xff]))).toBe(7);
    expect(zeroBits(new Uint8Array([0, 0, 0x20]))).toBe(18);
    expect(zeroBits(new Uint8Array([0, 0]))).toBe(16);
  });

  it("finds an answer of as many bits", async () => {
    const answer = await solve("1800000000.9.abcdefghijklmnop.00", 9);
    expect(answer.startsWith("1800000000.9.abcdefghijklmnop.00:")).toBe(true);
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(answer));
    expect(zeroBits(new Uint8Array(digest))).toBeGreaterThanOrEqual(9);
  });
});
