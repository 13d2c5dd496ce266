import "i18next";
import type app from "./zh-CN";
import type admin from "./zh-CN/admin";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "app";
    resources: { app: typeof app; admin: typeof admin };
    returnNull: false;
  }
}
