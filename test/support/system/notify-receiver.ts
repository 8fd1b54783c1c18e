import { EventEmitter, once } from 'node:events';
import { closeSync, read } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatagram } from '../../../src/system/systemd/datagram.js';

/** What a service manager does: receives datagrams on a unix socket. */
export interface NotifyReceiver {
	/** For NOTIFY_SOCKET. */
	path: string;
	/** All that came so far. */
	messages: string[];
	/** The next message that has not been taken yet. */
	next(): Promise<string>;
	close(): Promise<void>;
}

interface ForeignFunctions {
	load(path: string): { func(prototype: string): (...values: unknown[]) => number };
}

const farewell = 'the receiver closes';

export async function createNotifyReceiver(): Promise<NotifyReceiver> {
	const folder = await mkdtemp(join(tmpdir(), 'rc-notify-'));
	const path = join(folder, 'notify');
	const descriptor = bindDatagram(path);
	const messages: string[] = [];
	const arrivals = new EventEmitter<{ message: []; closed: [] }>();
	let taken = 0;

	// The socket blocks, so that the read waits in a thread of its own; close() wakes it with a message of its own.
	const receive = (): void =>
		read(descriptor, Buffer.alloc(65_536), 0, 65_536, null, (error, length, buffer) => {
			const message = buffer.toString('utf8', 0, length);
			if (error || message === farewell) {
				closeSync(descriptor);
				arrivals.emit('closed');
				return;
			}
			messages.push(message);
			arrivals.emit('message');
			receive();
		});
	receive();

	return {
		path,
		messages,
		async next() {
			const index = taken++;
			while (messages.length <= index) await once(arrivals, 'message', { signal: AbortSignal.timeout(20_000) });
			return String(messages[index]);
		},
		async close() {
			const closed = once(arrivals, 'closed');
			const sender = openDatagram(path);
			sender?.send(farewell);
			await closed;
			sender?.close();
			await rm(folder, { recursive: true });
		},
	};
}

function bindDatagram(path: string): number {
	const koffi = createRequire(import.meta.url)('koffi') as ForeignFunctions;
	const library = koffi.load('libc.so.6');
	const socket = library.func('int socket(int domain, int type, int protocol)');
	const bind = library.func('int bind(int socket, uint8_t *address, uint32_t length)');
	const descriptor = socket(1, 2, 0);
	const address = Buffer.concat([Buffer.from(Uint16Array.of(1).buffer), Buffer.from(`${path}\0`)]);
	if (descriptor < 0 || bind(descriptor, address, address.length) !== 0) throw new Error(`cannot bind ${path}`);
	return descriptor;
}
