/** What is used of the WebAssembly API, which has no types in Node's own. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

export const WebAssembly: WebAssemblyApi = (globalThis as unknown as { readonly WebAssembly: WebAssemblyApi })
  .WebAssembly;

/** An instance whose memory has grown beyond this is not kept: WebAssembly memory never shrinks. */
export const KEPT_MEMORY_BYTES: number = 64 * 1024 * 1024;
