import { useTranslation } from "react-i18next";
import { ApiError } from "@/api/client";
import type { FindingPart } from "@/api/schema";
import { State, type Tone } from "./Page";

const TONES: Record<string, Tone> = { error: "bad", warning: "warn", info: "off" };

/** What was found in a pasted text, in the reader's words and with the place. */
export function Findings({ findings }: { findings: FindingPart[] }) {
  const { t, i18n } = useTranslation();
  return (
    <ul className="list">
      {findings.map((one, at) => {
        const key = `help.finding.${one.code.replaceAll(".", "_")}`;
        const line = (one.params as { line?: number }).line;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: findings never move
          <li key={at}>
            <State tone={TONES[one.severity] ?? "plain"}>
              <strong>{t(`help.severity.${one.severity as "error" | "warning" | "info"}`)}</strong>
            </State>{" "}
            {i18n.exists(key)
              ? (t as unknown as (key: string, params: object) => string)(key, one.params)
              : one.code}
            <div className="muted small mono">
              {[line ? t("help.line", { line }) : "", one.path].filter(Boolean).join(" · ")}
            </div>
          </li>
        );
      })}
    </ul>
  );
}

/** The findings that came with a refusal, if any. */
export function findingsOf(error: unknown): FindingPart[] {
  if (!(error instanceof ApiError) || !Array.isArray(error.params.findings)) return [];
  return error.params.findings as FindingPart[];
}
