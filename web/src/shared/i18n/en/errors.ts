export const errors: Record<string, string> = {
  unexpected: "Something unexpected happened. Try again.",
  network: "The server cannot be reached. Check your network and try again.",
  internal: "This is our fault and has been recorded. Try again later.",
  request_invalid: "Some values are not acceptable: {{fields}}",
};

export const reasons: Record<string, string> = {};
