import { useNavigate } from "@tanstack/react-router";
import { Button, Tabs } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrapList } from "@/api/client";
import type { DistributorPart, DistributorsOut, StatementPart, StatementsOut } from "@/api/schema";
import { yuan } from "@/shared/format/format";
import { type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { userTone } from "@/shared/ui/tones";
import { Applications } from "./Applications";
import { Classes } from "./Classes";
import { distributorsKey } from "./queries";
import { Terms } from "./Terms";

/** Those who sell serial numbers, what they applied for, and how their months were settled. */
export function DistributorsPage() {
  const { t } = useTranslation(["app", "admin"]);
  const list = useListState();
  const navigate = useNavigate();
  const tab = list.search.tab ?? "all";
  return (
    <Page
      title={t("admin:distributors.title")}
      intro={t("admin:distributors.intro")}
      extra={<Classes />}
    >
      <Tabs
        activeKey={tab}
        onChange={(key) => navigate({ to: ".", search: { tab: key } as never })}
        destroyOnHidden
        items={[
          { key: "all", label: t("admin:distributors.all"), children: <All /> },
          {
            key: "applications",
            label: t("admin:distributors.applications"),
            children: <Applications />,
          },
          {
            key: "statements",
            label: t("admin:distributors.statements"),
            children: <Statements />,
          },
        ]}
      />
    </Page>
  );
}

function All() {
  const { t } = useTranslation(["app", "admin"]);
  const list = useListState();
  const [changed, setChanged] = useState<DistributorPart | null>(null);
  const asked = list.asked(["name"]);
  const query = useListQuery([...distributorsKey, "list", asked], async () => {
    const found = await unwrapList<DistributorsOut>(
      api.GET("/api/admin/distributor/list", { params: { query: asked as never } }),
    );
    return { rows: found.distributors, next: found.next_before };
  });
  const sum = (key: string, title: string, read: (one: DistributorPart) => number) =>
    ({
      key,
      title,
      align: "right",
      render: (one) => yuan(read(one)),
    }) satisfies Column<DistributorPart>;
  const columns: Column<DistributorPart>[] = [
    { key: "name", title: t("sales.name"), render: (one) => one.username },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={userTone(one.status)}>{t(`sales.userStatus.${one.status}`)}</State>
      ),
    },
    {
      key: "class",
      title: t("sales.class"),
      render: (one) =>
        t("sales.share", {
          level: t(`sales.level.${one.terms.level}`),
          share: one.rate_bp / 100,
        }),
    },
    sum("listed", t("sales.listed"), (one) => one.sums.list_fen),
    sum("discount", t("sales.discount"), (one) => one.sums.discount_fen),
    sum("commission", t("sales.commissionAll"), (one) => one.sums.commission_fen),
    sum("settled", t("sales.settled"), (one) => one.sums.settled_fen),
    sum("open", t("sales.openAll"), (one) => one.sums.open_fen),
    sum("owed", t("sales.owedAll"), (one) => one.sums.owed_fen),
    sum("limit", t("admin:distributors.limit"), (one) => one.terms.credit_limit_fen),
    {
      key: "generate",
      title: t("admin:distributors.mayGenerate"),
      hidden: true,
      render: (one) => (one.terms.may_generate ? t("admin:distributors.yes") : "—"),
    },
    {
      key: "act",
      title: "",
      render: (one) => (
        <Button size="small" onClick={() => setChanged(one)}>
          {t("admin:distributors.change")}
        </Button>
      ),
    },
  ];
  return (
    <section className="card">
      <DataTable
        name="distributors"
        list={list}
        columns={columns}
        query={query}
        csv={csvAddress("/api/admin/distributor/list", asked)}
        filters={<TextFilter list={list} name="name" label={t("sales.nameSearch")} />}
      />
      {changed && <Terms of={changed} close={() => setChanged(null)} />}
    </section>
  );
}

function Statements() {
  const { t } = useTranslation(["app", "admin"]);
  const list = useListState();
  const asked = list.asked(["user_id"]);
  const query = useListQuery([...distributorsKey, "statements", asked], async () => {
    const found = await unwrapList<StatementsOut>(
      api.GET("/api/admin/statements", { params: { query: asked as never } }),
    );
    return { rows: found.statements, next: found.next_before };
  });
  const sum = (key: string, title: string, read: (one: StatementPart) => number) =>
    ({
      key,
      title,
      align: "right",
      render: (one) => yuan(read(one)),
    }) satisfies Column<StatementPart>;
  const columns: Column<StatementPart>[] = [
    { key: "month", sort: "time", title: t("sales.month"), render: (one) => one.month.slice(0, 7) },
    { key: "name", title: t("sales.name"), render: (one) => one.username ?? one.user_id },
    sum("opening", t("sales.opening"), (one) => one.opening_fen),
    sum("earned", t("sales.earned"), (one) => one.earned_fen),
    sum("back", t("sales.takenBack"), (one) => -one.taken_back_fen),
    sum("credit", t("sales.toCredit"), (one) => one.to_credit_fen),
    sum("wallet", t("sales.toWallet"), (one) => one.to_wallet_fen),
    sum("closing", t("sales.closing"), (one) => one.closing_fen),
    {
      key: "act",
      title: "",
      render: (one) => (
        <span className="row">
          <Button size="small" href={`/api/admin/statements/${one.id}/export`} download>
            {t("action.csv")}
          </Button>
          <Button size="small" href={`/api/admin/statements/${one.id}/print`} target="_blank">
            {t("sales.print")}
          </Button>
        </span>
      ),
    },
  ];
  return (
    <section className="card">
      <DataTable
        name="allStatements"
        csv={csvAddress("/api/admin/statements", asked)}
        list={list}
        columns={columns}
        query={query}
        filters={
          <TextFilter
            list={list}
            name="user_id"
            label={t("admin:distributors.userId")}
            width={120}
          />
        }
      />
    </section>
  );
}
