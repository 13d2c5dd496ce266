import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, InputNumber, Modal, Select } from "antd";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { UserOut } from "@/api/schema";
import { useRights } from "@/shared/auth/rights";
import { useMe } from "@/shared/auth/useMe";
import { errorText } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { Compensate } from "@/shared/ui/Compensate";
import { beginOf } from "@/shared/ui/list";
import { Reasoned } from "@/shared/ui/Reasoned";
import { TakeData } from "@/shared/ui/TakeData";
import { adminsQuery } from "./queries";

const NOBODY = 0;
const CHANGED = [["users"], ["containers"], ["logs"]];
type Dialog =
  | "suspend"
  | "renew"
  | "mark"
  | "end"
  | "role"
  | "manager"
  | "grant"
  | "mail"
  | "compensate"
  | null;

/** What an admin may do to a user; each names what follows. */
export function UserActions({ user }: { user: UserOut }) {
  const { t } = useTranslation(["app", "admin"]);
  const me = useMe();
  const { may, mayAll } = useRights();
  const ask = useAsk();
  const [dialog, setDialog] = useState<Dialog>(null);
  const close = () => setDialog(null);
  const path = { path: { user_id: user.id } };
  const name = { name: user.username };
  const reinstate = useAct({
    call: () => unwrap(api.POST("/api/user/{user_id}/reinstate", { params: path })),
    changes: CHANGED,
    done: t("admin:users.reinstated"),
  });
  const allow = useAct({
    call: () => unwrap(api.POST("/api/user/{user_id}/renewal_allowed", { params: path })),
    changes: CHANGED,
    done: t("admin:users.renewalAllowed"),
  });
  const generate = useAct({
    call: () =>
      unwrap(
        api.POST("/api/acl/generate", {
          body: { user_id: user.id, server_ids: [], reason: "generated" },
        }),
      ),
    changes: CHANGED,
    done: (made) => t("admin:users.newVersionMade", { version: made.version.version }),
  });
  const reset = useAct({
    call: () =>
      unwrap(api.POST("/api/security/users/{user_id}/second_factor/reset", { params: path })),
    changes: CHANGED,
    done: t("admin:factor.done"),
  });
  const erase = useAct({
    call: () => unwrap(api.POST("/api/user/{user_id}/erase", { params: path })),
    changes: CHANGED,
    done: t("admin:users.erased"),
  });
  return (
    <>
      {mayAll("notifications.write") && (
        <Button onClick={() => setDialog("mail")}>{t("admin:users.mail")}</Button>
      )}
      {user.rental_expiry && mayAll("traffic.write") && (
        <Button onClick={() => setDialog("grant")}>{t("admin:users.grant")}</Button>
      )}
      {user.rental_expiry && mayAll("acl.write") && (
        <Button
          onClick={() =>
            ask({
              title: t("admin:users.newVersionTitle", name),
              text: t("admin:users.newVersionText"),
              button: t("admin:users.newVersion"),
              danger: false,
              do: () => generate.mutateAsync(undefined),
            })
          }
        >
          {t("admin:users.newVersion")}
        </Button>
      )}
      {user.rental_expiry && may("users.write") && (
        <Button danger onClick={() => setDialog("end")}>
          {t("admin:users.endRental")}
        </Button>
      )}
      {user.role === "user" && user.status === "active" && may("users.write") && (
        <>
          {user.rental_expiry && (
            <Button onClick={() => setDialog("renew")}>{t("admin:users.renewTo")}</Button>
          )}
          {user.no_renewal_at ? (
            <Button onClick={() => allow.mutate(undefined)}>{t("admin:users.allowRenewal")}</Button>
          ) : (
            <Button onClick={() => setDialog("mark")}>{t("admin:users.noRenewal")}</Button>
          )}
        </>
      )}
      {user.status !== "deregistered" && mayAll("finance.refund") && (
        <Button onClick={() => setDialog("compensate")}>{t("admin:money.compensate")}</Button>
      )}
      {me.role === "super_admin" && <TakeData userId={user.id} />}
      {user.status === "deregistered" && me.role === "super_admin" && (
        <Button
          danger
          onClick={() =>
            ask({
              title: t("admin:users.eraseTitle", name),
              text: t("admin:users.eraseText"),
              button: t("admin:users.erase"),
              do: () => erase.mutateAsync(undefined),
            })
          }
        >
          {t("admin:users.erase")}
        </Button>
      )}
      {user.id !== me.id && me.role === "super_admin" && (
        <>
          <Button onClick={() => setDialog("role")}>{t("admin:users.changeRole")}</Button>
          {user.role === "user" && (
            <Button onClick={() => setDialog("manager")}>{t("admin:users.giveManager")}</Button>
          )}
          <Button
            danger
            onClick={() =>
              ask({
                title: t("admin:factor.title", name),
                text: t("admin:factor.text"),
                button: t("admin:factor.reset"),
                do: () => reset.mutateAsync(undefined),
              })
            }
          >
            {t("admin:factor.reset")}
          </Button>
        </>
      )}
      {user.id !== me.id && user.status === "active" && may("users.write") && (
        <Button danger onClick={() => setDialog("suspend")}>
          {t("admin:users.suspend")}
        </Button>
      )}
      {user.status === "suspended" && may("users.write") && (
        <Button
          type="primary"
          onClick={() =>
            ask({
              title: t("admin:users.reinstateTitle", name),
              text: t("admin:users.reinstateText"),
              button: t("admin:users.reinstate"),
              danger: false,
              do: () => reinstate.mutateAsync(undefined),
            })
          }
        >
          {t("admin:users.reinstate")}
        </Button>
      )}
      {dialog === "suspend" && (
        <Reasoned
          title={t("admin:users.suspendTitle", name)}
          text={t("admin:users.suspendText")}
          button={t("admin:users.suspend")}
          call={(reason) =>
            unwrap(api.POST("/api/user/{user_id}/suspend", { params: path, body: { reason } }))
          }
          changes={CHANGED}
          done={t("admin:users.suspended")}
          close={close}
        />
      )}
      {dialog === "end" && (
        <Reasoned
          title={t("admin:users.endTitle", name)}
          text={t("admin:users.endText")}
          button={t("admin:users.endRental")}
          call={(reason) =>
            unwrap(api.POST("/api/user/{user_id}/rental/end", { params: path, body: { reason } }))
          }
          changes={CHANGED}
          done={t("admin:users.ended")}
          close={close}
        />
      )}
      {dialog === "renew" && <RenewTo user={user} close={close} />}
      {dialog === "mark" && <NoRenewal user={user} close={close} />}
      {dialog === "manager" && <GiveManager user={user} close={close} />}
      {dialog === "role" && <Role user={user} close={close} />}
      {dialog === "grant" && <Grant user={user} close={close} />}
      {dialog === "compensate" && (
        <Compensate
          title={t("admin:money.compensateUser", name)}
          whom={{ user_id: user.id }}
          close={close}
        />
      )}
      {dialog === "mail" && <Mail user={user} close={close} />}
    </>
  );
}

function Asking<Values extends object>(props: {
  title: string;
  text?: ReactNode;
  button: string;
  initial: Partial<Values>;
  call: (values: Values) => Promise<unknown>;
  done: string;
  close: () => void;
  children: ReactNode;
}) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const act = useAct({
    quiet: true,
    call: props.call,
    changes: CHANGED,
    done: props.done,
    after: props.close,
  });
  return (
    <Modal
      open
      title={props.title}
      okText={props.button}
      cancelText={t("action.cancel")}
      confirmLoading={act.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      <div className="stack">
        {props.text}
        {act.isError && <Alert type="error" showIcon role="alert" title={errorText(act.error)} />}
        <Form
          form={form}
          layout="vertical"
          requiredMark={false}
          initialValues={props.initial}
          onFinish={act.mutate}
        >
          {props.children}
        </Form>
      </div>
    </Modal>
  );
}

function Role({ user, close }: { user: UserOut; close: () => void }) {
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
      close={close}
    >
      <Form.Item name="role" label={t("admin:users.role")}>
        <Select options={roles.map((value) => ({ value, label: t(`role.${value}`) }))} />
      </Form.Item>
    </Asking>
  );
}

/** Whose customer he is, among the admins whose role reaches their own only. */
function GiveManager({ user, close }: { user: UserOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const admins = useQuery(adminsQuery);
  return (
    <Asking<{ manager: number }>
      title={t("admin:users.managerTitle", { name: user.username })}
      text={<p className="muted">{t("admin:users.managerText")}</p>}
      button={t("action.save")}
      initial={{ manager: user.manager_id ?? NOBODY }}
      call={({ manager }) =>
        unwrap(
          api.POST("/api/user/manager", {
            body: { user_ids: [user.id], manager_id: manager || null },
          }),
        )
      }
      done={t("admin:users.managerGiven")}
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

function Grant({ user, close }: { user: UserOut; close: () => void }) {
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

function Mail({ user, close }: { user: UserOut; close: () => void }) {
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

function RenewTo({ user, close }: { user: UserOut; close: () => void }) {
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

function NoRenewal({ user, close }: { user: UserOut; close: () => void }) {
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
