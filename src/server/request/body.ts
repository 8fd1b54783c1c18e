import type { IncomingMessage } from 'node:http';
import { RollcallError } from '../../errors.js';

/**
 * Reads a whole body of at most `bytesMax`. Most are one piece, which is handed on as it came. Calls `done` once: with `too_large` as soon as that is known, or `invalid` if the client went away.
 */
export function readBody(
	request: IncomingMessage,
	bytesMax: number,
	done: (fault: RollcallError | null, body?: Buffer) => void,
): void {
	const tooLarge = (): void => done(new RollcallError('too_large', `The body is larger than ${bytesMax} bytes.`));
	if (Number(request.headers['content-length'] ?? 0) > bytesMax) {
		tooLarge();
		return;
	}
	const chunks: Buffer[] = [];
	let bytes = 0;
	const stop = (): void => {
		request.removeListener('data', take);
		request.removeListener('end', finish);
		request.removeListener('error', abandon);
	};
	const take = (chunk: Buffer): void => {
		bytes += chunk.length;
		chunks.push(chunk);
		if (bytes <= bytesMax) return;
		stop();
		tooLarge();
	};
	const finish = (): void => {
		const [only] = chunks;
		done(null, chunks.length === 1 && only ? only : Buffer.concat(chunks, bytes));
	};
	const abandon = (): void => {
		stop();
		done(new RollcallError('invalid', 'The body ended early.'));
	};
	request.on('data', take);
	request.on('end', finish);
	request.on('error', abandon);
}
