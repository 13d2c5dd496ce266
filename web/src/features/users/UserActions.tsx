import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { UserOut } from "@/api/schema";
import { useRights } from "@/shared/auth/rights";
import { useMe } from "@/shared/auth/useMe";
import { useAct, useAsk } from "@/shared/ui/act";
import { Compensate } from "@/shared/ui/Compensate";
import { Reasoned } from "@/shared/ui/Reasoned";
import { TakeData } from "@/shared/ui/TakeData";
import { CHANGED, GiveManager, Grant, Mail, NoRenewal, RenewTo, Role, Rotate } from "./UserDialogs";

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
  | "rotate"
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
      {user.rental_expiry && mayAll("acl.write") && (
        <Button onClick={() => setDialog("rotate")}>{t("admin:rotations.rotate")}</Button>
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
      {dialog === "manager" && <GiveManager users={[user]} close={close} />}
      {dialog === "role" && <Role user={user} close={close} />}
      {dialog === "grant" && <Grant user={user} close={close} />}
      {dialog === "compensate" && (
        <Compensate
          title={t("admin:money.compensateUser", name)}
          whom={{ user_id: user.id }}
          close={close}
        />
      )}
      {dialog === "rotate" && <Rotate user={user} close={close} />}
      {dialog === "mail" && <Mail user={user} close={close} />}
    </>
  );
}
