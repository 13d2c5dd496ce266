import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, unwrap, unwrapList } from "@/api/client";
import type { StatementOut } from "@/api/schema";

export const walletKey = ["wallet"] as const;

export const walletQuery = queryOptions({
  queryKey: [...walletKey, "balance"],
  queryFn: () => unwrap(api.GET("/api/finance/wallet")),
});

export const methodsQuery = queryOptions({
  queryKey: [...walletKey, "methods"],
  queryFn: () => unwrap(api.GET("/api/finance/methods")),
  staleTime: 60_000,
});

export const autoRenewalQuery = queryOptions({
  queryKey: [...walletKey, "auto"],
  queryFn: async () => (await unwrap(api.GET("/api/finance/auto_renewal"))).auto_renewal,
});

export const ordersQuery = infiniteQueryOptions({
  queryKey: [...walletKey, "orders"],
  queryFn: ({ pageParam }) =>
    unwrap(api.GET("/api/finance/orders", { params: { query: { before: pageParam, limit: 20 } } })),
  initialPageParam: undefined as number | undefined,
  getNextPageParam: (page) => page.next_before ?? undefined,
});

export const statementQuery = infiniteQueryOptions({
  queryKey: [...walletKey, "statement"],
  queryFn: ({ pageParam }) =>
    unwrapList<StatementOut>(
      api.GET("/api/finance/wallet/statement", {
        params: { query: { before: pageParam, limit: 20 } },
      }),
    ),
  initialPageParam: undefined as number | undefined,
  getNextPageParam: (page) => page.next_before ?? undefined,
});
