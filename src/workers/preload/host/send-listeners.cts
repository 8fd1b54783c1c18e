import internals = require('./pipe-internals.cjs');
import type { ListeningSocket } from '../types.cjs';

/** The message is small, and the kernel has it at once; after this the connection may close. */
const lingerMs = 200;

/**
 * Hands copies of listening descriptors to a new worker host, which listens at `path`: the kernel's socket stays one and
 * the same, so no connection is lost between two hosts. Rejects when that host is not there, or Node has no such means.
 */
function lend(path: string, listens: readonly ListeningSocket[]): Promise<void> {
	const { Pipe, PipeConnectWrap, WriteWrap, constants } = internals();
	return new Promise((resolve, reject) => {
		const pipe = new Pipe(constants.IPC);
		const request = new PipeConnectWrap();
		request.oncomplete = (status) => {
			if (status < 0) {
				pipe.close();
				reject(new Error(`the new worker host at ${path} takes no connection (${status})`));
				return;
			}
			for (const { handle, port, address, path: socketPath } of listens) {
				const write = new WriteWrap();
				write.oncomplete = () => undefined;
				pipe.writeUtf8String(write, `${JSON.stringify({ port, address, path: socketPath })}\n`, handle);
			}
			setTimeout(() => pipe.close(), lingerMs).unref();
			resolve();
		};
		const failure = pipe.connect(request, path);
		if (failure < 0) reject(new Error(`${path} cannot be connected to (${failure})`));
	});
}

export = lend;
