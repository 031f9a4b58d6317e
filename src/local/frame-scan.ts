import type { FileHandle } from "node:fs/promises";
import { StorageError } from "../errors.ts";
import {
  FILE_HEADER_BYTES,
  FILE_KIND,
  FRAME_HEADER_BYTES,
  isFrameIntact,
  sizeOfFrame,
  type FileKind,
} from "./frame.ts";

const WINDOW_BYTES = 1024 * 1024;

/** What was found in a file. */
export interface ScannedFile {
  /** The sequence number that the next frame gets. */
  readonly nextSequence: number;
  /** Where the next frame goes: behind the last whole one. */
  readonly end: number;
  /** How many bytes of a frame follow there that was not written to its end. */
  readonly tornBytes: number;
}

/** A frame that was read, valid only while it is looked at: the buffer is used again. */
export type FrameVisitor = (
  sequence: number,
  position: number,
  bytes: Buffer,
  contentAt: number,
  end: number,
) => void;

/**
 * Reads a file from its beginning to its end and checks every frame.
 *
 * A process that is killed in the middle of a write leaves the beginning of a frame at the end of the file, and a machine
 * that loses its power may leave zeros: that is a torn tail, which was never acknowledged. Whatever else does not fit is
 * damage.
 *
 * @throws StorageError that names the file and the position of the damage.
 */
export async function scanFrames(
  handle: FileHandle,
  file: string,
  kind: FileKind,
  visit: FrameVisitor,
): Promise<ScannedFile> {
  const window = new Window(handle, (await handle.stat()).size);
  await checkKind(window, file, kind);
  let position = FILE_HEADER_BYTES;
  let sequence = 0;
  for (; position < window.fileSize; sequence++) {
    const left = window.fileSize - position;
    if (left < FRAME_HEADER_BYTES) break;
    if (!window.has(position, FRAME_HEADER_BYTES)) await window.load(position, FRAME_HEADER_BYTES);
    const size = sizeOfFrame(window.bytes, window.at(position), sequence);
    if (size === undefined) {
      if (await isAllZero(window, position)) break;
      throw damaged(file, position, `frame ${sequence} should begin there`);
    }
    if (size > left) break;
    if (!window.has(position, size)) await window.load(position, size);
    const at = window.at(position);
    if (!isFrameIntact(window.bytes, at, size)) {
      throw damaged(file, position, `the checksum of frame ${sequence} does not fit`);
    }
    visit(sequence, position, window.bytes, at + FRAME_HEADER_BYTES, at + size);
    position += size;
  }
  return { nextSequence: sequence, end: position, tornBytes: window.fileSize - position };
}

/** The error for a place where something else lies than what was written. */
export function damaged(file: string, position: number, what: string): StorageError {
  return new StorageError(
    `${file} is damaged at byte ${position}: ${what}. Put a copy of the file back, or give up what follows and ` +
      `cut it off there while no broker has the folder open: truncate -s ${position} ${JSON.stringify(file)}`,
  );
}

async function checkKind(window: Window, file: string, kind: FileKind): Promise<void> {
  const bytes = Math.min(FILE_HEADER_BYTES, window.fileSize);
  await window.load(0, bytes);
  const found = window.bytes.toString("latin1", window.at(0), window.at(0) + bytes);
  if (found !== FILE_KIND[kind]) {
    throw new StorageError(
      `${file} does not begin as a file of this broker's: it begins with ${JSON.stringify(found)} ` +
        `at byte 0, where ${FILE_KIND[kind]} should be.`,
    );
  }
}

async function isAllZero(window: Window, from: number): Promise<boolean> {
  for (let position = from; position < window.fileSize;) {
    const bytes = Math.min(WINDOW_BYTES, window.fileSize - position);
    await window.load(position, bytes);
    const at = window.at(position);
    if (window.bytes.subarray(at, at + bytes).some((byte) => byte !== 0)) return false;
    position += bytes;
  }
  return true;
}

/** The part of a file that is in memory. */
class Window {
  readonly fileSize: number;
  readonly #handle: FileHandle;
  #bytes: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;

  constructor(handle: FileHandle, fileSize: number) {
    this.#handle = handle;
    this.fileSize = fileSize;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Where a position of the file lies in `bytes`. */
  at(position: number): number {
    return position - this.#from;
  }

  has(position: number, length: number): boolean {
    return position >= this.#from && position + length <= this.#to;
  }

  /** Has these bytes in memory. The file must have them. */
  async load(position: number, length: number): Promise<void> {
    if (this.has(position, length)) return;
    const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.fileSize - position);
    if (this.#bytes.length < wanted) this.#bytes = Buffer.allocUnsafe(wanted);
    this.#from = position;
    this.#to = position;
    while (this.#to < position + wanted) {
      const { bytesRead } = await this.#handle.read(
        this.#bytes,
        this.#to - position,
        wanted - (this.#to - position),
        this.#to,
      );
      if (bytesRead === 0)
        throw new StorageError(`A file of the broker's has become shorter while it was read.`);
      this.#to += bytesRead;
    }
  }
}
