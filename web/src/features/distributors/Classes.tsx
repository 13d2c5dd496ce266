import { useQuery } from "@tanstack/react-query";
import { Button, InputNumber, Modal, Table } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { Level } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { useAct } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank } from "@/shared/ui/Page";
import { distributorsKey } from "./queries";

const LEVELS = ["gold", "white_gold", "platinum"] as const;

/** What each class is worth, and was. */
export function Classes() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const [open, setOpen] = useState(false);
  const query = useQuery({
    queryKey: [...distributorsKey, "classes"],
    queryFn: () => unwrap(api.GET("/api/admin/distributor/classes")),
    enabled: open,
  });
  const set = useAct({
    call: (wanted: { level: Level; rate_bp: number }) =>
      unwrap(api.POST("/api/admin/distributor/classes", { body: wanted })),
    changes: [distributorsKey],
    done: t("admin:distributors.saved"),
  });
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t("admin:distributors.classes")}</Button>
      <Modal
        open={open}
        title={t("admin:distributors.classes")}
        footer={null}
        onCancel={() => setOpen(false)}
      >
        <p className="muted">{t("admin:distributors.classesHint")}</p>
        <Loaded query={query}>
          {(found) => (
            <div className="stack">
              {LEVELS.map((level) => (
                <Rate
                  key={`${level}-${found.rates[level]}`}
                  label={t(`sales.level.${level}`)}
                  share={(found.rates[level] ?? 0) / 100}
                  save={(share) => set.mutate({ level, rate_bp: Math.round(share * 100) })}
                />
              ))}
              <Table
                size="small"
                rowKey="created_at"
                pagination={false}
                dataSource={found.history}
                locale={{ emptyText: <Blank title={t("table.emptyAll")} /> }}
                columns={[
                  {
                    title: t("sales.at"),
                    render: (_, one) => moment(one.created_at, i18n.language),
                  },
                  { title: t("sales.class"), render: (_, one) => t(`sales.level.${one.level}`) },
                  { title: t("sales.rate"), render: (_, one) => `${one.rate_bp / 100} %` },
                  { title: t("admin:distributors.by"), render: (_, one) => one.actor ?? "—" },
                ]}
              />
            </div>
          )}
        </Loaded>
      </Modal>
    </>
  );
}

function Rate(props: { label: string; share: number; save: (share: number) => void }) {
  const { t } = useTranslation();
  const [share, setShare] = useState<number | null>(props.share);
  return (
    <div className="row between">
      <span>{props.label}</span>
      <span className="row">
        <InputNumber
          aria-label={props.label}
          min={0}
          max={90}
          precision={2}
          suffix="%"
          value={share}
          onChange={setShare}
        />
        <Button
          disabled={share === null || share === props.share}
          onClick={() => share !== null && props.save(share)}
        >
          {t("action.save")}
        </Button>
      </span>
    </div>
  );
}
