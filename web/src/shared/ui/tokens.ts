const FONTS =
  '-apple-system, BlinkMacSystemFont, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans", Roboto, sans-serif';

const SHARED = { borderRadius: 8, fontFamily: FONTS, fontSize: 14, motionDurationMid: "0.15s" };
/** What antd's own greys and reds lack is contrast: texts are to be read at 4.5 to 1. */
export const LIGHT = {
  ...SHARED,
  colorPrimary: "#0f766e",
  colorInfo: "#0f766e",
  colorLink: "#0f766e",
  colorError: "#c81e2b",
  colorSuccess: "#15803d",
  colorWarning: "#b45309",
  colorBgLayout: "#f4f6f8",
  colorTextSecondary: "rgba(0,0,0,0.68)",
  colorTextTertiary: "rgba(0,0,0,0.62)",
  colorTextDescription: "rgba(0,0,0,0.65)",
  colorTextPlaceholder: "rgba(0,0,0,0.56)",
};
/** The same on a dark ground. */
export const DARK = {
  ...SHARED,
  colorPrimary: "#2dd4bf",
  colorInfo: "#2dd4bf",
  colorLink: "#5eead4",
  colorError: "#ff8a8a",
  colorSuccess: "#4ade80",
  colorWarning: "#fbbf24",
  colorBgLayout: "#0b1114",
  colorBgBase: "#11191d",
  colorTextLightSolid: "#07201d",
  colorTextSecondary: "rgba(255,255,255,0.72)",
  colorTextTertiary: "rgba(255,255,255,0.64)",
  colorTextDescription: "rgba(255,255,255,0.68)",
  colorTextPlaceholder: "rgba(255,255,255,0.6)",
};
