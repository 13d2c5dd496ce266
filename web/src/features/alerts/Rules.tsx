import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, InputNumber, Select, Switch } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { RuleIn, RuleOut } from "@/api/schema";
import { errorText, word } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";

const SEVERITIES = ["info", "warning", "critical"] as const;

/** What counts as odd in what customers do, and what follows. */
export function Rules() {
  const query = useQuery({
    queryKey: ["alerts", "rules"],
    queryFn: async () => (await unwrap(api.GET("/api/alerts/rules"))).rules,
  });
  return (
    <Loaded query={query}>
      {(rules) => (
        <div className="tiles">
          {rules.map((rule) => (
            <Rule key={rule.kind} rule={rule} />
          ))}
        </div>
      )}
    </Loaded>
  );
}

interface Typed extends Omit<RuleIn, "throttle_bytes_per_second"> {
  kilobits: number;
}

function Rule({ rule }: { rule: RuleOut }) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<Typed>();
  const reaction = Form.useWatch("reaction", form) ?? rule.reaction;
  const save = useAct({
    quiet: true,
    call: ({ kilobits, ...typed }: Typed) =>
      unwrap(
        api.POST("/api/alerts/rules/{kind}", {
          params: { path: { kind: rule.kind } },
          body: {
            ...typed,
            thresholds: typed.thresholds ?? {},
            throttle_bytes_per_second: kilobits ? kilobits * 125 : rule.throttle_bytes_per_second,
            hold_minutes: typed.hold_minutes ?? rule.hold_minutes,
          },
        }),
      ),
    changes: [["alerts", "rules"]],
    done: t("admin:alerts.ruleSaved"),
  });
  const restrains = reaction === "throttle" || reaction === "stop";
  return (
    <section className="card">
      <h3 style={{ marginBottom: 12 }}>{word(t as never, "admin:alerts.kind", rule.kind)}</h3>
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={save.mutate}
        initialValues={{ ...rule, kilobits: rule.throttle_bytes_per_second / 125 }}
      >
        <Form.Item name="is_enabled" label={t("admin:alerts.enabled")} valuePropName="checked">
          <Switch />
        </Form.Item>
        <Form.Item name="severity" label={t("admin:alerts.severityLabel")}>
          <Select
            options={SEVERITIES.map((value) => ({
              value,
              label: t(`admin:alerts.severity.${value}`),
            }))}
          />
        </Form.Item>
        <Form.Item name="reaction" label={t("admin:alerts.reactionLabel")}>
          <Select
            options={rule.possible_reactions.map((value) => ({
              value,
              label: t(`admin:alerts.reaction.${value}`),
            }))}
          />
        </Form.Item>
        {reaction === "throttle" && (
          <Form.Item name="kilobits" label={t("admin:alerts.throttle")}>
            <InputNumber min={8} />
          </Form.Item>
        )}
        {restrains && (
          <Form.Item name="hold_minutes" label={t("admin:alerts.hold")}>
            <InputNumber min={1} max={10080} precision={0} />
          </Form.Item>
        )}
        {Object.entries(rule.built_in_thresholds).map(([name, value]) => (
          <Form.Item
            key={name}
            name={["thresholds", name]}
            label={word(t as never, "admin:alerts.threshold", name)}
            extra={t("admin:alerts.builtIn", { value })}
          >
            <InputNumber min={1} precision={0} />
          </Form.Item>
        ))}
        <Button type="primary" htmlType="submit" loading={save.isPending}>
          {t("action.save")}
        </Button>
      </Form>
    </section>
  );
}
