import { readFileSync } from "node:fs";
import { KEPT_MEMORY_BYTES, WebAssembly } from "./web-assembly.ts";

/** What the WebAssembly module of @platformatic/wasm-utils exports. */
interface CodecExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  alloc(length: number): number;
  dealloc(at: number, length: number): void;
  lz4_compress(at: number, length: number): bigint;
  snappy_compress(at: number, length: number): bigint;
  snappy_decompress(at: number, length: number): bigint;
}

export type WasmFunction = "lz4_compress" | "snappy_compress" | "snappy_decompress";

/**
 * lz4 (one way: {@link "./lz4-decoder.ts"} is the other) and snappy in WebAssembly: the code of @platformatic/wasm-utils in an instance of our own. The package's own one is
 * shared by everybody in the thread, and its heap is damaged a little by each input that it cannot read: it ends such a
 * call in the middle, with its memory still taken. So an instance that has failed is thrown away (a new one takes 0.1 ms).
 */
class WasmCodec {
  #module: object | undefined;
  #exports: CodecExports | undefined;
  #input = { at: 0, length: 0 };
  #output = { at: 0, length: 0 };

  /**
   * Runs one of the functions. The result lies in the instance's memory, and is valid until the next call.
   *
   * @throws WebAssembly.RuntimeError when the input cannot be read, or is too large for the memory.
   */
  run(name: WasmFunction, input: Uint8Array): Buffer {
    const exports = this.#ready();
    try {
      this.#free(exports, this.#output);
      this.#place(exports, input);
      const packed = exports[name](this.#input.at, input.length);
      this.#output = { at: Number(packed >> 32n), length: Number(packed & 0xffff_ffffn) };
      return Buffer.from(exports.memory.buffer, this.#output.at, this.#output.length);
    } catch (error) {
      this.#exports = undefined;
      throw error;
    }
  }

  #ready(): CodecExports {
    if (this.#exports === undefined || this.#exports.memory.buffer.byteLength > KEPT_MEMORY_BYTES) {
      this.#module ??= new WebAssembly.Module(
        readFileSync(new URL("native.wasm", import.meta.resolve("@platformatic/wasm-utils"))),
      );
      this.#exports = new WebAssembly.Instance(this.#module).exports as CodecExports;
      this.#input = { at: 0, length: 0 };
      this.#output = { at: 0, length: 0 };
    }
    return this.#exports;
  }

  /** Copies the input to where the functions can read it. */
  #place(exports: CodecExports, input: Uint8Array): void {
    if (this.#input.length < input.length) {
      this.#free(exports, this.#input);
      const length = Math.max(input.length, 64 * 1024);
      this.#input = { at: exports.alloc(length), length };
    }
    new Uint8Array(exports.memory.buffer, this.#input.at, input.length).set(input);
  }

  #free(exports: CodecExports, block: { at: number; length: number }): void {
    if (block.length > 0) exports.dealloc(block.at, block.length);
    block.length = 0;
  }
}

/** The thread's instance. Its module is compiled when it is first needed. */
export const wasmCodec: WasmCodec = new WasmCodec();
