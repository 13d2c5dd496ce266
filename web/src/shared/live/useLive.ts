import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { type LiveState, LiveStream, type Surroundings } from "./live";

const browser: Surroundings = {
  open: (address) => new EventSource(address) as unknown as ReturnType<Surroundings["open"]>,
  now: () => Date.now(),
  later: (seconds, call) => {
    const timer = setTimeout(call, seconds * 1000);
    return () => clearTimeout(timer);
  },
};

/** Keeps the data of a query as the stream tells it; a hidden page holds no connection. */
export function useLive(address: string | null, key: QueryKey, ended?: () => void): LiveState {
  const client = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  const name = JSON.stringify(key);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` is compared by what it says
  useEffect(() => {
    if (address === null) return;
    const stream = new LiveStream(
      address,
      {
        picture: (picture) => client.setQueryData(key, picture),
        state: setState,
        ended: () => ended?.(),
      },
      browser,
    );
    const follow = () => (document.hidden ? stream.stop() : stream.start());
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      stream.stop();
    };
  }, [address, name, client]);
  return state;
}
