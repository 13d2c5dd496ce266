import { useQuery } from "@tanstack/react-query";
import { Button, Select, Table } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { RolePart, UsersOut } from "@/api/schema";
import { useAct, useAsk } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card, Page } from "@/shared/ui/Page";
import { permissionsQuery, rolesKey, rolesQuery } from "./queries";
import { RoleForm } from "./RoleForm";

/** What admins may: roles made of permissions, and who has which. */
export function RolesPage() {
  const { t } = useTranslation(["app", "admin"]);
  const [edited, setEdited] = useState<RolePart | "new" | null>(null);
  return (
    <Page
      title={t("admin:roles.title")}
      intro={t("admin:roles.intro")}
      extra={
        <Button type="primary" onClick={() => setEdited("new")}>
          {t("admin:roles.new")}
        </Button>
      }
    >
      <Roles edit={setEdited} />
      <Admins />
      {edited && <RoleForm role={edited === "new" ? null : edited} close={() => setEdited(null)} />}
    </Page>
  );
}

function Roles({ edit }: { edit: (role: RolePart) => void }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const roles = useQuery(rolesQuery);
  const permissions = useQuery(permissionsQuery);
  const words = new Map(
    permissions.data?.map((one) => [one.name, i18n.language === "zh-CN" ? one.zh : one.en]),
  );
  const remove = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/security/roles/{role_id}/remove", { params: { path: { role_id: id } } }),
      ),
    changes: [rolesKey],
    done: t("admin:roles.removed"),
  });
  return (
    <Card title={t("admin:roles.roles")}>
      <Loaded query={roles}>
        {(found) => (
          <Table
            rowKey="id"
            size="small"
            pagination={false}
            dataSource={found}
            locale={{ emptyText: <Blank title={t("admin:roles.none")} /> }}
            columns={[
              { title: t("admin:roles.name"), dataIndex: "name" },
              {
                title: t("admin:roles.permits"),
                render: (_, one) =>
                  one.permissions.map((name) => words.get(name) ?? name).join(", ") || "—",
              },
              {
                title: t("admin:roles.scope"),
                render: (_, one) => t(`admin:roles.reach.${one.scope}`),
              },
              {
                title: t("admin:roles.holders"),
                align: "right",
                render: (_, one) => one.user_ids?.length ?? 0,
              },
              {
                title: "",
                render: (_, one) => (
                  <span className="row">
                    <Button size="small" onClick={() => edit(one)}>
                      {t("admin:roles.change")}
                    </Button>
                    <Button
                      size="small"
                      danger
                      disabled={Boolean(one.user_ids?.length)}
                      onClick={() =>
                        ask({
                          title: t("admin:roles.removeTitle", { name: one.name }),
                          text: t("admin:roles.removeText"),
                          button: t("action.remove"),
                          do: () => remove.mutateAsync(one.id),
                        })
                      }
                    >
                      {t("action.remove")}
                    </Button>
                  </span>
                ),
              },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

function Admins() {
  const { t } = useTranslation(["app", "admin"]);
  const roles = useQuery(rolesQuery);
  const admins = useQuery({
    queryKey: [...rolesKey, "admins"],
    queryFn: async () =>
      (
        await unwrapList<UsersOut>(
          api.GET("/api/user/list", { params: { query: { role: "admin", limit: 200 } } }),
        )
      ).users,
  });
  const give = useAct({
    call: ({ id, role }: { id: number; role: number }) =>
      unwrap(
        api.POST("/api/security/users/{user_id}/admin_role", {
          params: { path: { user_id: id } },
          body: { role_id: role || null },
        }),
      ),
    changes: [rolesKey],
    done: t("admin:roles.given"),
  });
  const roleOf = (id: number) =>
    roles.data?.find((one) => one.user_ids?.includes(id))?.id ?? EVERYTHING;
  return (
    <Card title={t("admin:roles.admins")} hint={t("admin:roles.adminsHint")}>
      <Loaded query={admins}>
        {(found) => (
          <Table
            rowKey="id"
            size="small"
            pagination={false}
            dataSource={found}
            locale={{ emptyText: <Blank title={t("admin:roles.noAdmins")} /> }}
            columns={[
              { title: t("field.username"), dataIndex: "username" },
              { title: t("field.email"), dataIndex: "email" },
              {
                title: t("admin:roles.role"),
                render: (_, one) => (
                  <Select
                    aria-label={t("admin:roles.roleOf", { name: one.username })}
                    value={roleOf(one.id)}
                    style={{ minWidth: 200 }}
                    onChange={(role) => give.mutate({ id: one.id, role })}
                    options={[
                      { value: EVERYTHING, label: t("admin:roles.everything") },
                      ...(roles.data ?? []).map((role) => ({ value: role.id, label: role.name })),
                    ]}
                  />
                ),
              },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

const EVERYTHING = 0;
