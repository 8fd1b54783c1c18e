import { hash, randomBytes } from 'node:crypto';

const blockBytes = 64;
const hashBytes = 32;
/** A UTF-16 unit takes at most three bytes in UTF-8. */
const bytesAUnit = 3;
/** Texts up to this length, which are all that honest callers send, are hashed without a buffer of their own. */
const unitsMax = 1_024;

/**
 * HMAC-SHA-256 (RFC 2104) under a random key of its own, as base64. It runs for every request with credentials: two one-shot
 * hashes over buffers that are there already, with the inner one handed on as text, cost a third of an object of `createHmac`,
 * and leave the garbage collector nothing that lies outside its heap.
 */
export class KeyedHash {
	/** The key's inner block, then room for a text. */
	readonly #inner: Buffer;
	/** The key's outer block, then room for the inner hash. */
	readonly #outer: Buffer;

	constructor(key: Buffer = randomBytes(hashBytes)) {
		this.#inner = Buffer.concat([pad(key, 0x36), Buffer.alloc(unitsMax * bytesAUnit)]);
		this.#outer = Buffer.concat([pad(key, 0x5c), Buffer.alloc(hashBytes)]);
	}

	digest(text: string): string {
		const inner = text.length > unitsMax ? this.#innerOfLong(text) : this.#innerOf(text);
		this.#outer.write(inner, blockBytes, 'binary');
		return hash('sha256', this.#outer, 'base64');
	}

	#innerOf(text: string): string {
		const { buffer, byteOffset } = this.#inner;
		const end = blockBytes + this.#inner.write(text, blockBytes);
		const inner = hash('sha256', new Uint8Array(buffer, byteOffset, end), 'binary');
		// The text is a secret, and what it is hashed in lives as long as the process.
		this.#inner.fill(0, blockBytes, end);
		return inner;
	}

	#innerOfLong(text: string): string {
		return hash('sha256', Buffer.concat([this.#inner.subarray(0, blockBytes), Buffer.from(text)]), 'binary');
	}
}

/** The key, filled with zeros to one block of SHA-256, each byte combined with the pad's. */
function pad(key: Buffer, byte: number): Buffer {
	if (key.length > blockBytes) throw new RangeError(`a key has at most ${blockBytes} bytes`);
	const block = Buffer.alloc(blockBytes, byte);
	for (const [at, value] of key.entries()) block[at] = value ^ byte;
	return block;
}
