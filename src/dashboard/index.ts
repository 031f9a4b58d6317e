export { Dashboard, type DashboardOptions } from "./dashboard.ts";
export type { HealthState } from "./state.ts";
