import { beforeEach, expect, test } from "vitest";
import { type LiveState, LiveStream, SILENCE_SECONDS, type Source } from "./live";

class Fake implements Source {
  readyState = 1;
  private heard = new Map<string, (event: { data?: string }) => void>();
  addEventListener(kind: string, call: (event: { data?: string }) => void) {
    this.heard.set(kind, call);
  }
  close() {
    this.readyState = 2;
  }
  say(kind: string, data?: string) {
    this.heard.get(kind)?.(data === undefined ? {} : { data });
  }
}

let now: number;
let due: { at: number; call: () => void }[];
let opened: Fake[];
let states: LiveState[];
let pictures: unknown[];
let ended: number;
let stream: LiveStream;

/** Lets seconds pass, and what is due happen. */
function pass(seconds: number) {
  const end = now + seconds * 1000;
  for (;;) {
    const next = due.filter((one) => one.at <= end).sort((one, two) => one.at - two.at)[0];
    if (!next) break;
    due = due.filter((one) => one !== next);
    now = next.at;
    next.call();
  }
  now = end;
}

beforeEach(() => {
  now = 0;
  due = [];
  opened = [];
  states = [];
  pictures = [];
  ended = 0;
  stream = new LiveStream(
    "/api/user/live",
    {
      picture: (one) => pictures.push(one),
      state: (one) => states.at(-1) !== one && states.push(one),
      ended: () => {
        ended += 1;
      },
    },
    {
      open: () => {
        opened.push(new Fake());
        return opened.at(-1) as Fake;
      },
      now: () => now,
      later: (seconds, call) => {
        const entry = { at: now + seconds * 1000, call };
        due.push(entry);
        return () => {
          due = due.filter((one) => one !== entry);
        };
      },
    },
  );
  stream.start();
});

test("pictures are handed on, and the state is live", () => {
  opened[0]?.say("message", '{"devices":[]}');
  expect(pictures).toEqual([{ devices: [] }]);
  expect(states).toEqual(["connecting", "live"]);
});

test("a stream that says at least that it is there stays open", () => {
  for (let at = 0; at < 20; at++) {
    pass(15);
    opened[0]?.say("still");
  }
  expect(opened).toHaveLength(1);
  expect(states.at(-1)).toBe("live");
});

test("a stream that fell silent is told as stale and opened again", () => {
  opened[0]?.say("still");
  pass(SILENCE_SECONDS + 10);
  expect(states.at(-1)).toBe("stale");
  pass(10);
  expect(opened).toHaveLength(2);
  opened[1]?.say("open");
  expect(states.at(-1)).toBe("live");
});

test("refused streams are tried again ever more slowly, never faster than in two seconds", () => {
  for (let at = 0; at < 6; at++) {
    const last = opened.at(-1) as Fake;
    last.readyState = 2;
    last.say("error");
    pass(1.9);
    expect(opened.at(-1)).toBe(last);
    pass(61);
    expect(opened.at(-1)).not.toBe(last);
  }
  expect(states.at(-1)).toBe("stale");
});

test("a stream that ended for good is told, and not opened again", () => {
  opened[0]?.say("end");
  pass(600);
  expect(ended).toBe(1);
  expect(opened).toHaveLength(1);
});

test("a stopped stream asks for nothing", () => {
  stream.stop();
  pass(600);
  expect(opened).toHaveLength(1);
  expect(due).toEqual([]);
});
