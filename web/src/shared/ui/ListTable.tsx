import { SettingOutlined } from "@ant-design/icons";
import { Button, Checkbox, Input, Popover, Select, Table } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Column, ListProps } from "./DataTable";
import { Failed } from "./Loaded";
import type { ListState } from "./list";
import { Blank } from "./Page";

/** A long list: page by page from the server, with the columns somebody wants to see. */
export function ListTable<Row extends { id: number }>(props: ListProps<Row>) {
  const { t } = useTranslation();
  const { list, query } = props;
  const [shown, setShown] = useColumns(props.name, props.columns);
  const isFiltered = Object.keys(list.search).some(
    (one) => !["p", "limit", "tab", "sort"].includes(one),
  );
  const rows = query.data?.rows ?? [];
  return (
    <div className="stack tight">
      <div className="row between">
        <search className="filters" style={{ margin: 0 }}>
          {props.filters}
        </search>
        <div className="row">
          {props.selection && rows.some(props.selection.may) && (
            <Button onClick={() => props.selection && choosePage(props.selection, rows)}>
              {t("table.choosePage")}
            </Button>
          )}
          {props.extra}
          {props.csv && (
            <Button href={props.csv} download>
              {t("action.csv")}
            </Button>
          )}
          <Popover
            trigger="click"
            placement="bottomRight"
            content={
              <div className="stack tight">
                {props.columns.map((one) => (
                  <Checkbox
                    key={one.key}
                    checked={shown.has(one.key)}
                    onChange={(event) => setShown(one.key, event.target.checked)}
                  >
                    {one.title}
                  </Checkbox>
                ))}
              </div>
            }
          >
            <Button
              icon={<SettingOutlined />}
              aria-label={t("action.columns")}
              title={t("action.columns")}
            />
          </Popover>
        </div>
      </div>
      {query.isError ? (
        <Failed error={query.error} retry={() => query.refetch()} />
      ) : (
        <Table<Row>
          rowKey="id"
          size="small"
          loading={query.isPending || query.isPlaceholderData}
          dataSource={rows}
          pagination={false}
          onChange={(_page, _filters, sorter) => {
            const by = [sorter].flat()[0];
            const name = props.columns.find((one) => one.key === by?.columnKey)?.sort;
            const sign = by?.order === "descend" ? "-" : "";
            list.filter({ sort: by?.order && name ? sign + name : undefined });
          }}
          columns={props.columns
            .filter((one) => shown.has(one.key))
            .map((one) => ({
              key: one.key,
              title: one.title,
              ...(one.align ? { align: one.align } : {}),
              ...(one.sort
                ? {
                    sorter: true,
                    showSorterTooltip: false,
                    sortOrder: orderOf(list.search.sort, one.sort),
                  }
                : {}),
              render: (_: unknown, row: Row) => one.render(row),
            }))}
          locale={{
            emptyText: <Blank title={isFiltered ? t("table.empty") : t("table.emptyAll")} />,
          }}
          {...(props.selection
            ? {
                rowSelection: {
                  // Its box has an English name in every language; the button above has ours.
                  hideSelectAll: true,
                  selectedRowKeys: props.selection.keys,
                  onChange: (keys) => props.selection?.choose(keys as number[]),
                  getCheckboxProps: (row) =>
                    ({
                      disabled: !props.selection?.may(row),
                      "aria-label": `#${row.id}`,
                    }) as object,
                },
              }
            : {})}
          {...(props.expanded
            ? { expandable: { expandedRowRender: (row) => props.expanded?.(row) } }
            : {})}
        />
      )}
      <nav className="row end" aria-label={t("table.page", { page: list.page })}>
        <span className="muted small">{t("table.page", { page: list.page })}</span>
        <Select
          aria-label={t("table.rows")}
          value={list.limit}
          onChange={(limit) => list.filter({ limit: limit === 20 ? undefined : String(limit) })}
          options={[20, 50, 100, 200].map((value) => ({ value, label: String(value) }))}
        />
        <Button disabled={list.page === 1} onClick={list.previous}>
          {t("action.previous")}
        </Button>
        <Button
          disabled={!query.data?.next}
          onClick={() => query.data?.next && list.next(query.data.next)}
        >
          {t("action.next")}
        </Button>
      </nav>
    </div>
  );
}

function orderOf(sort: string | undefined, name: string): "ascend" | "descend" | null {
  if (sort === name) return "ascend";
  return sort === `-${name}` ? "descend" : null;
}

function choosePage<Row extends { id: number }>(
  selection: { keys: number[]; choose: (keys: number[]) => void; may: (row: Row) => boolean },
  rows: Row[],
): void {
  const possible = rows.filter(selection.may).map((one) => one.id);
  selection.choose(selection.keys.length === possible.length ? [] : possible);
}

function useColumns<Row>(name: string, columns: Column<Row>[]) {
  const kept = `derpman.columns.${name}`;
  const [choice, setChoice] = useState<Record<string, boolean>>(() => {
    try {
      return JSON.parse(localStorage.getItem(kept) ?? "{}");
    } catch {
      return {};
    }
  });
  const shown = new Set(
    columns.filter((one) => choice[one.key] ?? !one.hidden).map((one) => one.key),
  );
  const set = (key: string, show: boolean) => {
    const next = { ...choice, [key]: show };
    localStorage.setItem(kept, JSON.stringify(next));
    setChoice(next);
  };
  return [shown, set] as const;
}

/** A filter that is typed; it counts when Enter is pressed or the field is left. */
export function TextFilter(props: {
  list: ListState;
  name: string;
  label: string;
  width?: number;
}) {
  const { list, name, label } = props;
  const present = list.search[name] ?? "";
  const apply = (text: string) => text.trim() !== present && list.filter({ [name]: text.trim() });
  return (
    <Input
      key={present}
      allowClear
      aria-label={label}
      placeholder={label}
      defaultValue={present}
      style={{ width: props.width ?? 170 }}
      onPressEnter={(event) => apply(event.currentTarget.value)}
      onBlur={(event) => apply(event.currentTarget.value)}
      onChange={(event) => event.type === "click" && apply("")}
    />
  );
}

/** A filter with few possible values. */
export function ChoiceFilter(props: {
  list: ListState;
  name: string;
  label: string;
  options: { value: string; label: string }[];
}) {
  const { list, name, label } = props;
  return (
    <Select
      allowClear
      aria-label={label}
      placeholder={label}
      value={list.search[name] ?? null}
      style={{ minWidth: 130 }}
      onChange={(value) => list.filter({ [name]: value ?? undefined })}
      options={props.options}
    />
  );
}

/** From a day to a day, both counting whole. */
export function DaysFilter({ list }: { list: ListState }) {
  const { t } = useTranslation();
  return (
    <span className="row tight">
      {(["from", "to"] as const).map((name) => (
        <Input
          key={name}
          type="date"
          aria-label={`${t("field.time")} ${name === "from" ? "≥" : "≤"}`}
          style={{ width: 140 }}
          value={list.search[name] ?? ""}
          onChange={(event) => list.filter({ [name]: event.target.value })}
        />
      ))}
    </span>
  );
}
