import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { bytes, moment } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";
import { Facts } from "@/shared/ui/Page";

/** Who made, sold and used a serial number, and what it led to. */
export function Chain({ id }: { id: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["serials", "chain", id],
    queryFn: () =>
      unwrap(api.GET("/api/serial/{serial_id}/chain", { params: { path: { serial_id: id } } })),
  });
  return (
    <Loaded query={query}>
      {(found) => (
        <div className="stack tight">
          <Facts
            rows={[
              [t("admin:serials.maker"), found.maker ?? "—"],
              [t("admin:serials.order"), found.order ?? "—"],
              [t("admin:serials.distributor"), found.distributor ?? "—"],
              [t("admin:serials.user"), found.username ?? "—"],
              ...(found.term
                ? ([
                    [
                      t("admin:serials.span"),
                      `${moment(found.term.starts_at, i18n.language)} – ${moment(found.term.ends_at, i18n.language)}`,
                    ],
                    [t("admin:serials.usedTime"), `${found.term.used_percent} %`],
                    [
                      t("admin:serials.usedTraffic"),
                      t("admin:serials.ofTraffic", {
                        used: bytes(found.term.used_bytes),
                        plan: bytes(found.term.plan_bytes),
                      }),
                    ],
                  ] as [string, string][])
                : []),
            ]}
          />
          {found.containers.length > 0 && (
            <ul>
              {found.containers.map((one) => (
                <li key={one.id}>
                  <Link to="/admin/servers/$serverId" params={{ serverId: String(one.server_id) }}>
                    {one.region}
                  </Link>{" "}
                  <span className="mono">
                    {one.address}:{one.port}
                  </span>{" "}
                  {t("admin:serials.container", {
                    slot: one.slot,
                    generation: one.generation,
                    sent: bytes(one.sent_bytes),
                  })}
                </li>
              ))}
            </ul>
          )}
        </div>
      )}
    </Loaded>
  );
}
