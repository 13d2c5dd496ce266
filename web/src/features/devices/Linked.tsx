import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Table, type TableColumnsType } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { LinkedPart } from "@/api/schema";
import { moment, relative } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { homeKey } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";
import { Blank, Card, State, type Tone } from "@/shared/ui/Page";
import { devicesKey } from "./queries";

const linkedKey = ["linked"] as const;
const CHANGED = [linkedKey, homeKey, devicesKey];
const TONES: Record<string, Tone> = { followed: "good", no_room: "warn", left_out: "off" };

/** The devices of a linked tailnet, and what became of each; nothing where none is linked. */
export function Linked() {
  const { t, i18n } = useTranslation();
  const { data } = useQuery({
    queryKey: linkedKey,
    queryFn: () => unwrap(api.GET("/api/security/link/devices")),
    refetchInterval: 30_000,
  });
  const look = useAct({
    call: () => unwrap(api.POST("/api/security/link/look")),
    changes: CHANGED,
    done: t("linked.looked"),
  });
  const change = useAct({
    call: ({ one, action }: { one: LinkedPart; action: string }) => {
      const params = { path: { linked_id: one.id } };
      return action === "include"
        ? unwrap(api.POST("/api/security/link/devices/{linked_id}/include", { params }))
        : unwrap(api.POST("/api/security/link/devices/{linked_id}/leave_out", { params }));
    },
    changes: CHANGED,
    done: t("linked.changed"),
  });
  if (!data || (data.looked_at === null && data.devices.length === 0)) return null;
  const columns: TableColumnsType<LinkedPart> = [
    {
      key: "name",
      title: t("devices.name"),
      render: (_, one) => (
        <div className="stack tight">
          <strong>{one.name}</strong>
          <span className="muted small">
            {[one.system, one.is_ephemeral && t("linked.ephemeral")].filter(Boolean).join(" · ")}
          </span>
        </div>
      ),
    },
    {
      key: "addresses",
      title: t("devices.addresses"),
      render: (_, one) => <span className="mono small">{one.addresses || "—"}</span>,
    },
    {
      key: "status",
      title: t("field.state"),
      render: (_, one) => (
        <>
          <State tone={TONES[one.status] ?? "plain"}>
            {word(t as never, "linked.status", one.status)}
          </State>
          {one.missing_since && (
            <p className="muted small">
              {t("linked.missing", { since: moment(one.missing_since, i18n.language) })}
            </p>
          )}
        </>
      ),
    },
    {
      key: "actions",
      title: "",
      align: "right",
      render: (_, one) => (
        <div className="row end">
          {(["include", "leave_out"] as const)
            .filter((action) => one.allowed_actions.includes(action))
            .map((action) => (
              <Button
                key={action}
                aria-label={`${t(`linked.${action}`)} ${one.name}`}
                onClick={() => change.mutate({ one, action })}
              >
                {t(`linked.${action}`)}
              </Button>
            ))}
        </div>
      ),
    },
  ];
  return (
    <Card
      title={t("linked.title")}
      hint={t("linked.hint")}
      extra={
        <>
          {data.looked_at && (
            <span className="muted small">
              {t("linked.lookedAt", { when: relative(data.looked_at, i18n.language) })}
            </span>
          )}
          <Button onClick={() => look.mutate(undefined)} loading={look.isPending}>
            {t("linked.look")}
          </Button>
        </>
      }
    >
      {data.held_removals > 0 && <Held count={data.held_removals} />}
      <Table
        rowKey="id"
        size="middle"
        columns={columns}
        dataSource={data.devices}
        pagination={data.devices.length > 20 ? { pageSize: 20, showSizeChanger: false } : false}
        locale={{ emptyText: <Blank title={t("linked.none")} /> }}
      />
    </Card>
  );
}

/** So many are gone in the tailnet at once that a mistake is as likely: the customer decides. */
function Held({ count }: { count: number }) {
  const { t } = useTranslation();
  const settle = useAct({
    call: (accept: boolean) =>
      unwrap(api.POST("/api/security/link/removals", { body: { accept } })),
    changes: CHANGED,
    done: t("linked.settled"),
  });
  return (
    <Alert
      type="warning"
      showIcon
      style={{ marginBottom: 12 }}
      title={t("linked.held", { count })}
      description={t("linked.heldHint")}
      action={
        <div className="row end">
          <Button onClick={() => settle.mutate(false)} loading={settle.isPending}>
            {t("linked.keepThem")}
          </Button>
          <Button danger onClick={() => settle.mutate(true)} loading={settle.isPending}>
            {t("linked.removeThem")}
          </Button>
        </div>
      }
    />
  );
}
