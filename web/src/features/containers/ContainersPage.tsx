import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { ContainerOut, ContainersOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { Loaded } from "@/shared/ui/Loaded";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Card, Page, State } from "@/shared/ui/Page";
import { relayTone } from "@/shared/ui/relays";

const WANTED = ["running", "stopped", "released"] as const;
const OBSERVED = ["unknown", "starting", "ready", "degraded", "stopped", "failed", "gone"] as const;

/** What is wanted beside what servers report. */
export function ContainersPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState(50);
  const asked = list.asked(["user_id", "server_id", "wanted", "observed", "is_differing"]);
  const query = useListQuery(["containers", asked], async () => {
    const found = await unwrapList<ContainersOut>(
      api.GET("/api/container/list", { params: { query: asked as never } }),
    );
    return {
      rows: found.containers.map((one) => ({ ...one, id: one.container_id })),
      next: found.next_before,
    };
  });
  const columns: Column<ContainerOut & { id: number }>[] = [
    { key: "id", title: t("admin:containers.id"), render: (one) => one.id },
    {
      key: "user",
      title: t("admin:containers.user"),
      render: (one) => (
        <Link to="/admin/users/$userId" params={{ userId: String(one.user_id) }}>
          {one.username || one.user_id}
        </Link>
      ),
    },
    {
      key: "server",
      title: t("admin:containers.server"),
      render: (one) => (
        <Link to="/admin/servers/$serverId" params={{ serverId: String(one.server_id) }}>
          {one.region} #{one.server_id}
        </Link>
      ),
    },
    { key: "slot", title: t("admin:containers.slot"), render: (one) => one.slot },
    { key: "generation", title: t("admin:containers.generation"), render: (one) => one.generation },
    {
      key: "at",
      title: t("field.address"),
      render: (one) => <span className="mono">{`${one.address}:${one.port}`}</span>,
    },
    {
      key: "wanted",
      title: t("admin:containers.wanted"),
      render: (one) => t(`wanted.${one.wanted}`),
    },
    {
      key: "observed",
      title: t("admin:containers.observed"),
      render: (one) => (
        <State tone={relayTone(one.observed)}>{t(`observed.${one.observed}`)}</State>
      ),
    },
    {
      key: "match",
      title: t("admin:containers.match"),
      render: (one) => (
        <State tone={one.is_as_wanted ? "good" : "warn"}>
          {one.is_as_wanted ? t("admin:containers.same") : t("admin:containers.differing")}
        </State>
      ),
    },
    {
      key: "reason",
      title: t("admin:containers.reason"),
      render: (one) => word(t as never, "relayReason", one.reason),
    },
    {
      key: "restarts",
      title: t("admin:containers.restarts"),
      align: "right",
      render: (one) => one.restarts,
    },
    {
      key: "expires",
      title: t("admin:containers.expires"),
      hidden: true,
      render: (one) => moment(one.expires_at, i18n.language),
    },
    {
      key: "created",
      sort: "time",
      title: t("admin:containers.created"),
      hidden: true,
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "released",
      title: t("admin:containers.released"),
      hidden: true,
      render: (one) => moment(one.released_at, i18n.language),
    },
  ];
  return (
    <Page title={t("admin:containers.title")} intro={t("admin:containers.intro")}>
      <section className="card">
        <DataTable
          name="containers"
          list={list}
          columns={columns}
          query={query}
          csv={csvAddress("/api/container/list", asked)}
          filters={
            <>
              <TextFilter
                list={list}
                name="user_id"
                label={t("admin:containers.userId")}
                width={120}
              />
              <TextFilter
                list={list}
                name="server_id"
                label={t("admin:containers.serverId")}
                width={120}
              />
              <ChoiceFilter
                list={list}
                name="wanted"
                label={t("admin:containers.wanted")}
                options={WANTED.map((value) => ({ value, label: t(`wanted.${value}`) }))}
              />
              <ChoiceFilter
                list={list}
                name="observed"
                label={t("admin:containers.observed")}
                options={OBSERVED.map((value) => ({ value, label: t(`observed.${value}`) }))}
              />
              <ChoiceFilter
                list={list}
                name="is_differing"
                label={t("admin:containers.match")}
                options={[
                  { value: "true", label: t("admin:containers.differing") },
                  { value: "false", label: t("admin:containers.same") },
                ]}
              />
            </>
          }
        />
      </section>
      <Restraints />
    </Page>
  );
}

function Restraints() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["containers", "restraints"],
    queryFn: async () => (await unwrap(api.GET("/api/container/restraints"))).restraints,
  });
  return (
    <Card title={t("admin:containers.restraints")}>
      <Loaded query={query}>
        {(restraints) =>
          restraints.length === 0 ? (
            <p className="muted">{t("admin:containers.restraintsNone")}</p>
          ) : (
            <ul className="list">
              {restraints.map((one) => (
                <li key={one.alert_id} className="row between">
                  <Link to="/admin/users/$userId" params={{ userId: String(one.user_id) }}>
                    #{one.user_id}
                  </Link>
                  <span>
                    {t("admin:containers.restraint", {
                      what: t(`admin:alerts.reaction.${one.reaction}`),
                      until: moment(one.until, i18n.language),
                    })}
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Card>
  );
}
