import { useQuery } from "@tanstack/react-query";
import { type Me, meQuery } from "./session";

/** The account of whoever is logged in; only for pages behind the log-in. */
export function useMe(): Me {
  const { data } = useQuery(meQuery);
  if (!data) throw new Error("nobody is logged in");
  return data;
}
