import { appendFileSync, closeSync, fstatSync, openSync, readSync } from 'node:fs';

const heardCharactersMax = 8_192;
const tailBytesMax = 4 * heardCharactersMax;

/**
 * Saves what a dying worker said last. PM2's container writes a worker's stderr from inside the worker, in the
 * background, and a process that throws is gone before that is done; what it sends to the host besides does arrive. So
 * the host remembers the end of what it heard, and adds what the file lacks of it.
 */
export class StderrTail {
	private readonly heard = new Map<string, string>();

	hear(worker: string, text: string): void {
		this.heard.set(worker, ((this.heard.get(worker) ?? '') + text).slice(-heardCharactersMax));
	}

	/** The process of this worker ended; its file may lack the end. */
	write(worker: string, file: string): void {
		const heard = this.heard.get(worker);
		this.heard.delete(worker);
		if (heard === undefined) return;
		const missing = missingEnd(tailOf(file), heard);
		if (missing !== '') appendFileSync(file, missing);
	}
}

/** What of `heard` has to follow on a file that ends with `tail`, so that the file ends with all of it. */
export function missingEnd(tail: string, heard: string): string {
	for (let length = Math.min(tail.length, heard.length); length > 0; length -= 1) {
		if (tail.endsWith(heard.slice(0, length))) return heard.slice(length);
	}
	return heard;
}

function tailOf(file: string): string {
	const descriptor = openSync(file, 'a+', 0o600);
	try {
		const { size } = fstatSync(descriptor);
		const bytes = Buffer.alloc(Math.min(size, tailBytesMax));
		readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
		return bytes.toString('utf8');
	} finally {
		closeSync(descriptor);
	}
}
