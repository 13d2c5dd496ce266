import type { paths } from "@/api/schema";

type Listed =
  paths["/api/finance/channels"]["get"]["responses"][200]["content"]["application/json"];
export type Channel = Listed["channels"][number];
export const METHODS = ["alipay_transfer", "wechat_transfer", "alipay", "wechat"] as const;
export type Known = { method: (typeof METHODS)[number]; set: Channel | undefined };
export const receivingKey = ["receiving"] as const;
