export { Dashboard, type DashboardOptions } from "./dashboard.ts";
