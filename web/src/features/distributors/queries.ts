export const distributorsKey = ["distributors"] as const;
