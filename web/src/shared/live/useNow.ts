import { useEffect, useState } from "react";

/** The present instant in milliseconds, renewed every so many seconds: for countdowns. */
export function useNow(everySeconds = 1): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds]);
  return now;
}
