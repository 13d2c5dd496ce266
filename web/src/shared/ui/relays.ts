import type { SlotOut } from "@/api/schema";
import type { Tone } from "./Page";

const TONES: Record<SlotOut["observed"], Tone> = {
  unknown: "busy",
  starting: "busy",
  ready: "good",
  degraded: "warn",
  stopped: "off",
  failed: "bad",
  gone: "off",
};

/** The mark of a relay's state. */
export function relayTone(observed: SlotOut["observed"]): Tone {
  return TONES[observed] ?? "plain";
}

/** A customer's relays by slot; during a change a slot has two generations for a while. */
export function bySlot<T extends { slot: number }>(slots: T[]): [number, T[]][] {
  const found = new Map<number, T[]>();
  for (const one of slots) found.set(one.slot, [...(found.get(one.slot) ?? []), one]);
  return [...found.entries()].sort(([one], [two]) => one - two);
}
