import { Link } from "@tanstack/react-router";
import { Progress } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrapList } from "@/api/client";
import type { ServerOut, ServersOut } from "@/api/schema";
import { bytes, moment, rate } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { serverTone } from "@/shared/ui/tones";
import { AddServer } from "./AddServer";
import { Regions } from "./Regions";

export const SERVER_STATES = [
  "adding",
  "failed",
  "healthy",
  "suspect",
  "unhealthy",
  "dead",
  "recovering",
  "given_up",
  "removed",
] as const;

export function ServersPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState(50);
  const asked = list.asked(["search", "status", "region"]);
  const query = useListQuery(["servers", asked], async () => {
    const found = await unwrapList<ServersOut>(
      api.GET("/api/server/list", { params: { query: asked as never } }),
    );
    return { rows: found.servers, next: found.next_before, regions: found.regions };
  });
  const columns: Column<ServerOut>[] = [
    {
      key: "ip",
      title: t("admin:servers.ip"),
      render: (one) => (
        <Link to="/admin/servers/$serverId" params={{ serverId: String(one.id) }} className="mono">
          {one.ip}
        </Link>
      ),
    },
    {
      key: "region",
      title: t("field.region"),
      sort: "region",
      render: (one) => one.region,
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <div className="stack tight">
          <State tone={serverTone(one.status)}>
            {word(t as never, "admin:servers.status", one.status)}
          </State>
          {one.halted_at && <span className="muted small">{t("admin:servers.halted")}</span>}
          {one.error_message && (
            <span className="muted small" style={{ maxWidth: 280 }}>
              {one.error_message}
            </span>
          )}
        </div>
      ),
    },
    {
      key: "users",
      sort: "users",
      title: t("admin:servers.users"),
      align: "right",
      render: (one) => t("admin:servers.usersOf", { users: one.users, capacity: one.capacity }),
    },
    {
      key: "rate",
      title: t("admin:servers.rate"),
      align: "right",
      render: (one) => rate(one.rate_bytes_per_second),
    },
    {
      key: "month",
      sort: "month_traffic",
      title: t("admin:servers.month"),
      render: (one) => <Month server={one} />,
    },
    {
      key: "total",
      title: t("admin:servers.traffic"),
      align: "right",
      render: (one) => bytes(one.traffic_bytes),
    },
    {
      key: "contact",
      title: t("admin:servers.contact"),
      render: (one) => moment(one.contact_at, i18n.language),
    },
    {
      key: "phone",
      title: t("admin:servers.phone"),
      hidden: true,
      render: (one) => one.account_phone ?? "—",
    },
    {
      key: "place",
      title: t("admin:servers.place"),
      hidden: true,
      render: (one) => one.registered_place ?? "—",
    },
    {
      key: "public",
      title: t("admin:servers.publicIp"),
      hidden: true,
      render: (one) => <span className="mono">{one.public_ip}</span>,
    },
    {
      key: "ports",
      title: t("admin:servers.ports"),
      hidden: true,
      render: (one) => `${one.port_from}–${one.port_to}`,
    },
    {
      key: "node",
      title: t("admin:servers.node"),
      hidden: true,
      render: (one) => one.node_version ?? "—",
    },
    {
      key: "load",
      sort: "load",
      title: t("admin:overview.load"),
      hidden: true,
      align: "right",
      render: (one) => one.load.toFixed(2),
    },
  ];
  const regions = query.data?.regions ?? [];
  return (
    <Page title={t("admin:servers.title")} extra={<AddServer />}>
      <Regions regions={regions} />
      <section className="card">
        <DataTable
          name="servers"
          list={list}
          columns={columns}
          query={query}
          csv={csvAddress("/api/server/list", asked)}
          filters={
            <>
              <TextFilter list={list} name="search" label={t("admin:servers.search")} width={200} />
              <ChoiceFilter
                list={list}
                name="status"
                label={t("field.state")}
                options={SERVER_STATES.map((value) => ({
                  value,
                  label: word(t as never, "admin:servers.status", value),
                }))}
              />
              <ChoiceFilter
                list={list}
                name="region"
                label={t("field.region")}
                options={regions.map((one) => ({
                  value: one.region,
                  label: `${one.region} (${one.healthy}/${one.servers})`,
                }))}
              />
            </>
          }
        />
      </section>
    </Page>
  );
}

export function Month({ server }: { server: ServerOut }) {
  if (!server.monthly_allowance_bytes) return <>{bytes(server.month_traffic_bytes)}</>;
  const part = (server.month_traffic_bytes / server.monthly_allowance_bytes) * 100;
  return (
    <div style={{ minWidth: 140 }}>
      <span className="small">
        {bytes(server.month_traffic_bytes)} / {bytes(server.monthly_allowance_bytes)}
      </span>
      <Progress
        percent={Math.min(100, Math.round(part))}
        size="small"
        showInfo={false}
        status={part >= 90 ? "exception" : "normal"}
        aria-label={`${Math.round(part)}%`}
      />
    </div>
  );
}
