import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { JobOut } from "@/api/types";
import { relative } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { useLive } from "@/shared/live/useLive";
import { Card, State } from "@/shared/ui/Page";
import { jobTone } from "@/shared/ui/tones";

const isOver = (job: JobOut) => job.status === "done" || job.status === "failed";

/** A job on a server, step by step, live while it runs. */
export function Job({ job, ended }: { job: JobOut; ended: () => void }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const key = ["job", job.id];
  const query = useQuery({
    queryKey: key,
    queryFn: () =>
      unwrap(api.GET("/api/server/jobs/{job_id}", { params: { path: { job_id: job.id } } })),
    initialData: { success: true, job },
  });
  const seen = query.data.job;
  useLive(isOver(job) ? null : `/api/server/jobs/${job.id}/events`, key, ended);
  return (
    <Card
      title={`${t("admin:servers.job")}: ${word(t as never, "admin:servers.jobKind", seen.kind)}`}
      extra={
        <State tone={jobTone(seen.status)}>{t(`admin:servers.jobStatus.${seen.status}`)}</State>
      }
      hint={t("admin:servers.by", {
        name: seen.actor_name,
        when: relative(seen.created_at, i18n.language),
      })}
    >
      <ol className="list" aria-live="polite">
        {seen.steps.map((step) => (
          <li key={step.name}>
            <State tone={jobTone(step.status)}>
              {word(t as never, "admin:servers.step", step.name)}
            </State>
            {step.message && <p style={{ margin: "4px 0 0 16px" }}>{step.message}</p>}
            {!step.message && Object.keys(step.found).length > 0 && (
              <div className="muted small mono" style={{ marginLeft: 16 }}>
                {Object.entries(step.found)
                  .map(
                    ([name, value]) =>
                      `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`,
                  )
                  .join(" · ")}
              </div>
            )}
          </li>
        ))}
      </ol>
    </Card>
  );
}
