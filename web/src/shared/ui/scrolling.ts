import { useEffect, useRef } from "react";

/** What holds tables that may be wider than the page: the keyboard must be able to scroll them. */
export function useScrolling<Element extends HTMLElement>() {
  const whole = useRef<Element>(null);
  useEffect(() => {
    const place = whole.current;
    if (!place) return;
    const reach = () => {
      for (const one of place.querySelectorAll(".ant-table-content:not([tabindex])"))
        one.setAttribute("tabindex", "0");
    };
    reach();
    const watch = new MutationObserver(reach);
    watch.observe(place, { childList: true, subtree: true });
    return () => watch.disconnect();
  }, []);
  return whole;
}
