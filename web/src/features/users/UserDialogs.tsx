import { useQuery } from "@tanstack/react-query";
import { Form, Input, InputNumber, Select } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { UserOut } from "@/api/schema";
import { Asking } from "@/shared/ui/Asking";
import { beginOf } from "@/shared/ui/list";
import { NewPorts } from "@/shared/ui/NewPorts";
import { adminsQuery } from "./queries";

const NOBODY = 0;
/** What is read again when something was done to a user. */
export const CHANGED = [["users"], ["containers"], ["logs"], ["aclLogs"]];

/** What he may do: a change ends his sessions. */
export function Role({ user, close }: { user: UserOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const roles = ["user", "distributor", "admin", "super_admin"] as const;
  return (
    <Asking<{ role: (typeof roles)[number] }>
      title={t("admin:users.roleTitle", { name: user.username })}
      text={t("admin:users.roleText")}
      button={t("action.save")}
      initial={{ role: user.role as (typeof roles)[number] }}
      call={(body) =>
        unwrap(
          api.POST("/api/user/{user_id}/role", { params: { path: { user_id: user.id } }, body }),
        )
      }
      done={t("admin:users.roleChanged")}
      changes={CHANGED}
      close={close}
    >
      <Form.Item name="role" label={t("admin:users.role")}>
        <Select options={roles.map((value) => ({ value, label: t(`role.${value}`) }))} />
      </Form.Item>
    </Asking>
  );
}

/** Whose customer he is, among the admins whose role reaches their own only. */
export function GiveManager({ users, close }: { users: UserOut[]; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const admins = useQuery(adminsQuery);
  return (
    <Asking<{ manager: number }>
      title={t("admin:users.managerTitle", { name: users.map((one) => one.username).join(", ") })}
      text={<p className="muted">{t("admin:users.managerText")}</p>}
      button={t("action.save")}
      initial={{ manager: users[0]?.manager_id ?? NOBODY }}
      call={({ manager }) =>
        unwrap(
          api.POST("/api/user/manager", {
            body: { user_ids: users.map((one) => one.id), manager_id: manager || null },
          }),
        )
      }
      done={t("admin:users.managerGiven")}
      changes={CHANGED}
      close={close}
    >
      <Form.Item name="manager" label={t("admin:users.manager")}>
        <Select
          options={[
            { value: NOBODY, label: t("admin:users.noManager") },
            ...(admins.data ?? []).map((one) => ({ value: one.id, label: one.username })),
          ]}
        />
      </Form.Item>
    </Asking>
  );
}

/** Traffic beside the plan's, with a reason. */
export function Grant({ user, close }: { user: UserOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <Asking<{ gigabytes: number; reason: string }>
      title={t("admin:users.grantTitle", { name: user.username })}
      text={t("admin:users.grantText")}
      button={t("admin:users.grant")}
      initial={{ gigabytes: 10 }}
      call={({ gigabytes, reason }) =>
        unwrap(
          api.POST("/api/traffic/grant", {
            body: { user_id: user.id, bytes: Math.round(gigabytes * 1e9), reason },
          }),
        )
      }
      done={t("admin:users.granted")}
      changes={CHANGED}
      close={close}
    >
      <Form.Item name="gigabytes" label={t("admin:users.gigabytes")} rules={needed}>
        <InputNumber min={0.001} max={1_000_000} />
      </Form.Item>
      <Form.Item name="reason" label={t("field.reason")} rules={needed}>
        <Input maxLength={200} />
      </Form.Item>
    </Asking>
  );
}

/** A mail of an admin's own words. */
export function Mail({ user, close }: { user: UserOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <Asking<{ subject: string; message: string }>
      title={`${t("admin:users.mail")}: ${user.email}`}
      button={t("admin:users.mail")}
      initial={{}}
      call={(values) =>
        unwrap(api.POST("/api/notifications/send", { body: { user_id: user.id, ...values } }))
      }
      done={t("admin:users.sent")}
      changes={CHANGED}
      close={close}
    >
      <Form.Item name="subject" label={t("admin:users.subject")} rules={needed}>
        <Input maxLength={200} />
      </Form.Item>
      <Form.Item name="message" label={t("admin:users.message")} rules={needed}>
        <Input.TextArea rows={6} maxLength={2000} />
      </Form.Item>
    </Asking>
  );
}

/** A rental lengthened to a day, with a reason. */
export function RenewTo({ user, close }: { user: UserOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <Asking<{ day: string; reason: string }>
      title={t("admin:users.renewToTitle", { name: user.username })}
      text={t("admin:users.renewToText")}
      button={t("admin:users.renewTo")}
      initial={{}}
      call={({ day, reason }) =>
        unwrap(
          api.POST("/api/user/{user_id}/renew_to", {
            params: { path: { user_id: user.id } },
            body: { until: beginOf(day, 1), reason },
          }),
        )
      }
      done={t("admin:users.renewedTo")}
      changes={CHANGED}
      close={close}
    >
      <Form.Item name="day" label={t("admin:users.lastDay")} rules={needed}>
        <Input type="date" />
      </Form.Item>
      <Form.Item name="reason" label={t("field.reason")} rules={needed}>
        <Input maxLength={200} />
      </Form.Item>
    </Asking>
  );
}

/** Marked as not to be renewed: at once or at expiry. */
export function NoRenewal({ user, close }: { user: UserOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  return (
    <Asking<{ at_once: boolean; reason: string }>
      title={t("admin:users.noRenewalTitle", { name: user.username })}
      text={t("admin:users.noRenewalText")}
      button={t("admin:users.noRenewal")}
      initial={{ at_once: false }}
      call={(body) =>
        unwrap(
          api.POST("/api/user/{user_id}/no_renewal", {
            params: { path: { user_id: user.id } },
            body,
          }),
        )
      }
      done={t("admin:users.marked")}
      changes={CHANGED}
      close={close}
    >
      <Form.Item name="at_once" label={t("admin:users.serviceEnds")}>
        <Select
          options={[
            { value: false, label: t("admin:users.atExpiry") },
            { value: true, label: t("admin:users.atOnce") },
          ]}
        />
      </Form.Item>
      <Form.Item
        name="reason"
        label={t("field.reason")}
        rules={[{ required: true, message: t("field.required") }]}
      >
        <Input maxLength={200} />
      </Form.Item>
    </Asking>
  );
}

/** New relays beside the present ones first, then the version that names them. */
export function Rotate({ user, close }: { user: UserOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  return (
    <Asking<{ new_ports: boolean }>
      title={t("admin:rotations.rotateTitle", { name: user.username })}
      text={<p className="muted">{t("admin:rotations.rotateText")}</p>}
      button={t("admin:rotations.rotate")}
      initial={{ new_ports: true }}
      call={({ new_ports }) =>
        unwrap(
          api.POST("/api/acl/rotate", {
            body: { user_id: user.id, reason: "generated", new_ports },
          }),
        )
      }
      done={t("admin:rotations.begun")}
      changes={CHANGED}
      close={close}
    >
      <NewPorts />
    </Asking>
  );
}
