import type { Api } from "./api.ts";

/** Where a broker is. A bootstrap server, whose id is not known yet, has node id -1. */
export interface BrokerAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

/** One connection to one broker, for one purpose. */
export class BrokerConnection {
  readonly address: BrokerAddress;

  constructor(address: BrokerAddress) {
    this.address = address;
  }

  get alive(): boolean {
    return false;
  }

  get inFlight(): number {
    return 0;
  }

  request<Request extends unknown[], Response>(
    _api: Api<Request, Response>,
    _request: Request,
    _options: { readonly timeoutMs: number },
  ): Promise<Response> {
    return Promise.reject(new Error("Closed."));
  }

  version(_api: Api<never, unknown>): number {
    return 0;
  }

  close(): void {}
}
