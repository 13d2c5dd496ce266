import { Link } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { RegionOut } from "@/api/schema";
import { Card, State } from "@/shared/ui/Page";

const FEW = 8;

/** How full each region is, the fullest first, and how many of its servers serve. */
export function Regions({ regions }: { regions: RegionOut[] }) {
  const { t } = useTranslation(["app", "admin"]);
  const [showAll, setShowAll] = useState(false);
  if (regions.length === 0) return null;
  const fullestFirst = regions.toSorted((one, other) => part(other) - part(one));
  const shown = showAll ? fullestFirst : fullestFirst.slice(0, FEW);
  return (
    <Card
      title={t("admin:overview.regions")}
      extra={
        regions.length > FEW && (
          <Button type="link" size="small" onClick={() => setShowAll(!showAll)}>
            {showAll ? t("admin:servers.fewRegions") : t("admin:servers.allRegions")}
          </Button>
        )
      }
    >
      <ul className="bars">
        {shown.map((one) => (
          <li key={one.region}>
            <Link to="/admin/servers" search={{ region: one.region }}>
              {one.region}
            </Link>
            <span className="bar" aria-hidden="true">
              <span
                className={part(one) >= 0.9 ? "bad" : part(one) >= 0.7 ? "warn" : "good"}
                style={{ width: `${Math.min(100, 100 * part(one))}%` }}
              />
            </span>
            <span className="small">
              {t("admin:servers.usersOf", { users: one.users, capacity: one.capacity })}
            </span>
            <State tone={one.healthy === one.servers ? "good" : "warn"}>
              {one.healthy} / {one.servers}
            </State>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function part(region: RegionOut): number {
  return region.capacity === 0 ? 1 : region.users / region.capacity;
}
