import type { UseQueryResult } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useDeferredValue } from "react";
import type { ListState } from "./list";

export interface Column<Row> {
  key: string;
  title: string;
  render: (row: Row) => ReactNode;
  /** Not shown until somebody chooses it. */
  hidden?: boolean;
  align?: "right";
  /** What the server calls this order; the list can be sorted by it then. */
  sort?: string;
}

export interface ListProps<Row> {
  name: string;
  list: ListState;
  columns: Column<Row>[];
  query: UseQueryResult<{ rows: Row[]; next: number | null | undefined }>;
  filters?: ReactNode;
  csv?: string;
  extra?: ReactNode;
  selection?: { keys: number[]; choose: (keys: number[]) => void; may: (row: Row) => boolean };
  expanded?: (row: Row) => ReactNode;
}

// A table is most of the work of a page that has one, and most of its program: the page around it is
// painted first.
let isHere = false;
const ListTable = lazy(async () => {
  const parts = await import("./ListTable");
  isHere = true; // the next one stands where it belongs at once
  return { default: parts.ListTable };
});
export const TextFilter = lazy(async () => ({ default: (await import("./ListTable")).TextFilter }));
export const ChoiceFilter = lazy(async () => ({
  default: (await import("./ListTable")).ChoiceFilter,
}));
export const DaysFilter = lazy(async () => ({ default: (await import("./ListTable")).DaysFilter }));

/** A long list: page by page from the server, with the columns somebody wants to see. */
export function DataTable<Row extends { id: number }>(props: ListProps<Row>) {
  const isDue = useDeferredValue(true, isHere);
  const due = <div className="table-due" aria-busy="true" />;
  if (!isDue) return due;
  return (
    <Suspense fallback={due}>
      <ListTable {...(props as unknown as ListProps<{ id: number }>)} />
    </Suspense>
  );
}
