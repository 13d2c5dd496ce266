import type { usage as texts } from "../zh-CN/usage";

export const usage: typeof texts = {
  usage: {
    title: "Traffic",
    intro:
      "Counted is what relays really send. Restarts of a relay, a server or this system count nothing twice.",
    hour: "By hour",
    day: "By day",
    month: "By month",
    span: {
      "hour-48": "Last 48 hours",
      "hour-168": "Last 7 days",
      "day-30": "Last 30 days",
      "day-90": "Last 90 days",
      "day-365": "Last year",
    },
    sent: "Sent",
    total: "{{total}} in all",
    none: "No traffic in this time",
    byRelay: "By relay",
    periods: "Periods",
    period: "Period",
    used: "Used",
    limit: "Limit",
    granted: "of it given on top",
    gaps: "Gaps",
    gapsHint: "What a relay sent in the moment it was killed is not known, and not billed.",
    gapsNone: "There are no gaps",
    status: { planned: "To come", open: "Running", closed: "Over" },
    chart: "Chart of traffic",
    chartTable: "The chart's figures",
  },
  rentals: {
    title: "Rentals",
    none: "No rental yet",
    number: "No.",
    bought: "What was bought",
    traffic: "{{traffic}} per 30 days",
    devices: "{{count}} devices",
    serial: "serial #{{id}}",
    order: "order #{{id}}",
  },
};
