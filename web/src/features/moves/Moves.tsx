import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Alert, Button } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { MovePart, MovesOut, StateOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { ChoiceFilter, type Column, DataTable } from "@/shared/ui/DataTable";
import { Loaded } from "@/shared/ui/Loaded";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Facts, State } from "@/shared/ui/Page";
import { moveTone } from "@/shared/ui/tones";

const STATES = ["waiting", "preparing", "switched", "done", "failed", "cancelled"] as const;
const CHANGED = [["moves"], ["moves-state"]];
const AGAIN_MS = 5_000;

/** Every move with its cause and state, and whether more may begin. */
export function Moves() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const list = useListState();
  const asked = list.asked(["status", "user_id", "server_id"]);
  const state = useQuery({
    queryKey: ["moves-state"],
    queryFn: () => unwrap(api.GET("/api/ha/state")),
    refetchInterval: AGAIN_MS,
  });
  const query = useListQuery(["moves", asked], async () => {
    const found = await unwrapList<MovesOut>(
      api.GET("/api/ha/moves", { params: { query: asked as never } }),
    );
    return { rows: found.moves, next: found.next_before };
  });
  const failover = useAct({
    call: () => unwrap(api.POST("/api/ha/failover", { body: {} })),
    changes: CHANGED,
    done: (done) =>
      done.server_ids.length === 0
        ? t("admin:moves.nothing")
        : t("admin:moves.started", { moves: done.moves }),
  });
  const cancel = useAct({
    call: (id: number) =>
      unwrap(api.POST("/api/ha/moves/{move_id}/cancel", { params: { path: { move_id: id } } })),
    changes: CHANGED,
    done: t("admin:moves.cancelled"),
  });
  const when = (at: string | null) => (at ? moment(at, i18n.language) : "—");
  const columns: Column<MovePart>[] = [
    {
      key: "asked",
      sort: "time",
      title: t("admin:moves.asked"),
      render: (one) => when(one.asked_at),
    },
    {
      key: "user",
      title: t("admin:moves.user"),
      render: (one) => (
        <Link to="/admin/users/$userId" params={{ userId: String(one.user_id) }}>
          #{one.user_id}
        </Link>
      ),
    },
    { key: "slot", title: t("admin:moves.slot"), align: "right", render: (one) => one.slot },
    {
      key: "cause",
      title: t("admin:moves.cause"),
      render: (one) => word(t as never, "admin:moves.causes", one.cause),
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={moveTone(one.status)}>{t(`admin:moves.status.${one.status}`)}</State>
      ),
    },
    {
      key: "from",
      title: t("admin:moves.from"),
      render: (one) => <ServerLink id={one.from_server_id} />,
    },
    {
      key: "to",
      title: t("admin:moves.to"),
      render: (one) => <ServerLink id={one.to_server_id} />,
    },
    { key: "tries", title: t("admin:moves.tries"), align: "right", render: (one) => one.tries },
    { key: "error", title: t("admin:moves.error"), render: (one) => one.error ?? "—" },
    { key: "by", title: t("admin:moves.by"), hidden: true, render: (one) => one.actor_name || "—" },
    { key: "switched", title: t("admin:moves.switchedAt"), render: (one) => when(one.switched_at) },
    { key: "ended", title: t("admin:moves.ended"), render: (one) => when(one.ended_at) },
    {
      key: "actions",
      title: "",
      align: "right",
      render: (one) =>
        one.status === "waiting" && (
          <Button
            onClick={() =>
              ask({
                title: t("admin:moves.cancelTitle"),
                text: t("admin:moves.cancelText"),
                button: t("admin:moves.cancel"),
                do: () => cancel.mutateAsync(one.id),
              })
            }
          >
            {t("admin:moves.cancel")}
          </Button>
        ),
    },
  ];
  return (
    <div className="stack">
      <Loaded query={state}>{(found) => <Room state={found} />}</Loaded>
      <DataTable
        name="moves"
        list={list}
        columns={columns}
        query={query}
        csv={csvAddress("/api/ha/moves", asked)}
        filters={
          <ChoiceFilter
            list={list}
            name="status"
            label={t("field.state")}
            options={STATES.map((one) => ({ value: one, label: t(`admin:moves.status.${one}`) }))}
          />
        }
        extra={
          <Button
            danger
            loading={failover.isPending}
            onClick={() =>
              ask({
                title: t("admin:moves.failoverTitle"),
                text: t("admin:moves.failoverText"),
                button: t("admin:moves.failover"),
                do: () => failover.mutateAsync(undefined),
              })
            }
          >
            {t("admin:moves.failover")}
          </Button>
        }
      />
    </div>
  );
}

function ServerLink({ id }: { id: number | null }) {
  if (id === null) return <>—</>;
  return (
    <Link to="/admin/servers/$serverId" params={{ serverId: String(id) }}>
      #{id}
    </Link>
  );
}

function Room({ state }: { state: StateOut }) {
  const { t } = useTranslation(["app", "admin"]);
  return (
    <>
      {state.is_frozen ? (
        <Alert
          type="error"
          showIcon
          title={t("admin:moves.frozen", { lost: state.lost, servers: state.servers })}
        />
      ) : (
        <State tone="good">{t("admin:moves.ready")}</State>
      )}
      <Facts
        rows={[
          [t("admin:moves.waiting"), state.waiting],
          [t("admin:moves.preparing"), state.preparing],
          [t("admin:moves.switched"), state.switched],
          [t("admin:moves.shared"), state.shared],
          [t("admin:moves.perMinute"), state.may_begin_within_minute],
          [t("admin:moves.perHour"), state.may_begin_within_hour],
        ]}
      />
    </>
  );
}
