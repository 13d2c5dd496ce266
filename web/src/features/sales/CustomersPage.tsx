import { useTranslation } from "react-i18next";
import { api, unwrapList } from "@/api/client";
import type { CustomerPart, CustomersOut, DownloadPart, DownloadsOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { userTone } from "@/shared/ui/tones";
import { salesKey } from "./queries";

/** A distributor's customers. */
export function CustomersPage() {
  const { t, i18n } = useTranslation();
  const list = useListState();
  const asked = list.asked(["name"]);
  const query = useListQuery([...salesKey, "customers", asked], async () => {
    const found = await unwrapList<CustomersOut>(
      api.GET("/api/admin/my/customers", { params: { query: asked as never } }),
    );
    return { rows: found.customers, next: found.next_before };
  });
  const columns: Column<CustomerPart>[] = [
    { key: "name", title: t("sales.name"), render: (one) => one.username },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={userTone(one.status)}>{t(`sales.userStatus.${one.status}`)}</State>
      ),
    },
    {
      key: "until",
      title: t("sales.until"),
      render: (one) => moment(one.rental_expiry, i18n.language),
    },
    {
      key: "since",
      sort: "time",
      title: t("sales.since"),
      render: (one) => moment(one.created_at, i18n.language),
    },
  ];
  return (
    <Page title={t("sales.myCustomers")} intro={t("sales.myCustomersIntro")}>
      <section className="card">
        <DataTable
          name="customers"
          csv={csvAddress("/api/admin/my/customers", asked)}
          list={list}
          columns={columns}
          query={query}
          filters={<TextFilter list={list} name="name" label={t("sales.nameSearch")} />}
        />
      </section>
    </Page>
  );
}

/** Which of his customers took which ACL. */
export function DownloadsPage() {
  const { t, i18n } = useTranslation();
  const list = useListState();
  const asked = list.asked([]);
  const query = useListQuery([...salesKey, "downloads", asked], async () => {
    const found = await unwrapList<DownloadsOut>(
      api.GET("/api/admin/my/downloads", { params: { query: asked as never } }),
    );
    return { rows: found.downloads, next: found.next_before };
  });
  const columns: Column<DownloadPart>[] = [
    { key: "name", title: t("sales.name"), render: (one) => one.username },
    { key: "version", title: t("sales.version"), render: (one) => one.acl_version },
    { key: "form", title: t("sales.form"), render: (one) => one.form },
    { key: "place", title: t("sales.place"), render: (one) => one.location || "—" },
    { key: "browser", title: t("sales.browser"), render: (one) => one.browser || "—" },
    {
      key: "at",
      sort: "time",
      title: t("sales.at"),
      render: (one) => moment(one.created_at, i18n.language),
    },
  ];
  return (
    <Page title={t("sales.downloads")}>
      <section className="card">
        <DataTable
          name="downloads"
          csv={csvAddress("/api/admin/my/downloads", asked)}
          list={list}
          columns={columns}
          query={query}
        />
      </section>
    </Page>
  );
}
