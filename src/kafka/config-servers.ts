import type { BootstrapServer } from "./config-setting.ts";

const DEFAULT_PORT = 9092;

// [scheme://]host[:port], the host in brackets when it is an IPv6 address. librdkafka allows the scheme, too.
const SERVER =
  /^(?:[a-z][a-z_]*:\/\/)?(?:\[(?<ipv6>[0-9a-f:.%]+)\]|(?<host>[^\s:/@[\]]+))(?::(?<port>\d{1,5}))?$/i;

/** One broker of `bootstrap.servers`; undefined when it is not `host` or `host:port`. */
export function parseServer(text: string): BootstrapServer | undefined {
  const groups = SERVER.exec(text.trim())?.groups;
  const host = groups?.["ipv6"] ?? groups?.["host"];
  const port = groups?.["port"] === undefined ? DEFAULT_PORT : Number(groups["port"]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}
