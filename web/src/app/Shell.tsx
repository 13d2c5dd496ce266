import { LogoutOutlined, MenuOutlined } from "@ant-design/icons";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useRouter, useRouterState } from "@tanstack/react-router";
import { Button, Drawer } from "antd";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { Prover } from "@/shared/auth/proof";
import { rightsQuery } from "@/shared/auth/rights";
import { isStaff, meQuery } from "@/shared/auth/session";
import { homeKey, overviewKey } from "@/shared/live/keys";
import { useLive } from "@/shared/live/useLive";
import { State, type Tone } from "@/shared/ui/Page";
import { Appearances, Tongue } from "./Choices";
import { Menu } from "./menu";

const TONES: Record<string, Tone> = { connecting: "busy", live: "good", stale: "warn" };

/** What surrounds every page behind the log-in: menu, live mark, language, log-out. */
export function Shell() {
  const { t } = useTranslation();
  const { data: me } = useQuery(meQuery);
  const client = useQueryClient();
  const router = useRouter();
  const [open, setOpen] = useState<boolean | null>(null); // null: never yet, so not drawn
  const main = useRef<HTMLElement>(null);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const staff = isStaff(me);
  const { data: rights } = useQuery({ ...rightsQuery, enabled: me?.role === "admin" });
  const seesAll = me?.role === "super_admin" || (rights && !rights.has_own_only);
  const stream = staff ? seesAll && "/api/admin/live" : me && "/api/user/live";
  const live = useLive(stream || null, staff ? overviewKey : homeKey, () =>
    client.invalidateQueries({ queryKey: meQuery.queryKey }),
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page is what it waits for
  useEffect(() => setOpen((was) => was && false), [path]);

  const logOut = async () => {
    await unwrap(api.POST("/api/user/logout")).catch(() => undefined);
    client.clear();
    await router.navigate({ to: "/login" });
  };
  if (!me) return null;
  const brand = (
    <Link to={staff ? "/admin" : "/"} className="brand">
      <img src="/favicon.svg" alt="" />
      <span>{t("product")}</span>
    </Link>
  );
  return (
    <div className="frame">
      <a className="skip" href="#main">
        {t("nav.skip")}
      </a>
      <div className="side">
        {brand}
        <Menu me={me} label={t("nav.label")} />
      </div>
      <div>
        <header className="top">
          <Button
            className="only-narrow"
            type="text"
            icon={<MenuOutlined />}
            aria-label={t("nav.open")}
            aria-expanded={open === true}
            onClick={() => setOpen(true)}
          />
          <span className="grow" role="status">
            {stream && (
              <State tone={TONES[live] ?? "off"}>
                <span className="small muted">{t(`live.${live}`)}</span>
              </State>
            )}
          </span>
          <Appearances />
          <Tongue />
          <Button type="text" icon={<LogoutOutlined />} onClick={logOut} title={t("action.logout")}>
            <span className="wide-only">{me.username}</span>
            <span className="visually-hidden"> {t("action.logout")}</span>
          </Button>
        </header>
        <main id="main" className="main" ref={main} tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      <Prover />
      {open !== null && (
        <Drawer
          open={open}
          onClose={() => setOpen(false)}
          placement="left"
          size={280}
          title={t("brand")}
          aria-label={t("nav.label")}
        >
          <Menu me={me} label={t("nav.label")} />
        </Drawer>
      )}
    </div>
  );
}
