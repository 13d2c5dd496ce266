import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrapList } from "@/api/client";
import type { UserOut, UsersOut } from "@/api/schema";
import { useRights } from "@/shared/auth/rights";
import { useMe } from "@/shared/auth/useMe";
import { moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { userTone } from "@/shared/ui/tones";
import { adminsQuery } from "./queries";

const GiveManager = lazy(async () => ({ default: (await import("./UserDialogs")).GiveManager }));
const STATES = ["active", "suspended", "closing", "deregistered"] as const;
const ROLES = ["user", "distributor", "admin", "super_admin"] as const;

export function UsersPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const me = useMe();
  const admins = useQuery({ ...adminsQuery, enabled: useRights().mayAll("users.read") });
  const [chosen, setChosen] = useState<number[]>([]);
  const [isGiving, setGiving] = useState(false);
  const asked = list.asked(["search", "role", "status", "manager_id"]);
  const query = useListQuery(["users", asked], async () => {
    const found = await unwrapList<UsersOut>(
      api.GET("/api/user/list", { params: { query: asked as never } }),
    );
    return { rows: found.users, next: found.next_before };
  });
  const picked = (query.data?.rows ?? []).filter((one) => chosen.includes(one.id));
  const columns: Column<UserOut>[] = [
    { key: "id", title: t("admin:users.id"), render: (one) => one.id },
    {
      key: "username",
      title: t("field.username"),
      sort: "username",
      render: (one) => (
        <Link to="/admin/users/$userId" params={{ userId: String(one.id) }}>
          {one.username}
        </Link>
      ),
    },
    { key: "email", title: t("field.email"), render: (one) => one.email },
    {
      key: "role",
      title: t("admin:users.role"),
      render: (one) => word(t as never, "role", one.role),
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={userTone(one.status)}>{word(t as never, "userStatus", one.status)}</State>
      ),
    },
    {
      key: "expiry",
      title: t("admin:users.expiry"),
      sort: "rental_expiry",
      render: (one) => moment(one.rental_expiry, i18n.language),
    },
    {
      key: "created",
      sort: "time",
      title: t("admin:users.created"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "reason",
      title: t("admin:users.reason"),
      hidden: true,
      render: (one) => one.status_reason ?? "—",
    },
    { key: "locale", title: t("language.label"), hidden: true, render: (one) => one.locale },
  ];
  return (
    <Page title={t("admin:users.title")}>
      <section className="card">
        <DataTable
          name="users"
          list={list}
          columns={columns}
          query={query}
          csv={csvAddress("/api/user/list", asked)}
          {...(me.role === "super_admin"
            ? {
                selection: {
                  keys: chosen,
                  choose: setChosen,
                  may: (one: UserOut) => one.role === "user",
                },
                extra: picked.length > 0 && (
                  <Button onClick={() => setGiving(true)}>
                    {t("admin:users.giveManager")} ({picked.length})
                  </Button>
                ),
              }
            : {})}
          filters={
            <>
              <TextFilter list={list} name="search" label={t("admin:users.search")} width={220} />
              <ChoiceFilter
                list={list}
                name="role"
                label={t("admin:users.role")}
                options={ROLES.map((value) => ({ value, label: t(`role.${value}`) }))}
              />
              <ChoiceFilter
                list={list}
                name="status"
                label={t("field.state")}
                options={STATES.map((value) => ({ value, label: t(`userStatus.${value}`) }))}
              />
              {admins.data && admins.data.length > 0 && (
                <ChoiceFilter
                  list={list}
                  name="manager_id"
                  label={t("admin:users.manager")}
                  options={admins.data.map((one) => ({
                    value: String(one.id),
                    label: one.username,
                  }))}
                />
              )}
            </>
          }
        />
      </section>
      {isGiving && (
        <Suspense>
          <GiveManager
            users={picked}
            close={() => {
              setGiving(false);
              setChosen([]);
            }}
          />
        </Suspense>
      )}
    </Page>
  );
}
