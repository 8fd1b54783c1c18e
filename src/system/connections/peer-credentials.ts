import type { Socket } from 'node:net';
import { type Library, loadLibrary } from '../c-library.js';

/** Who opened a connection to a unix socket, as the kernel recorded it at connect(2): SO_PEERCRED of unix(7). */
export interface PeerCredentials {
	pid: number;
	/** The effective user id. */
	uid: number;
}

/** Tells the credentials of a connection, or in a sentence why they cannot be had. */
export type PeerReader = (socket: Socket) => PeerCredentials | string;

const socketLevel = 1;
const peerCredentials = 17;
/** struct ucred: pid, uid and gid, four bytes each. */
const credentialsBytes = 12;
/** The numbers above differ on others, such as ppc64 and mips. */
const knownArchitectures: readonly string[] = ['x64', 'arm64', 'arm', 'riscv64', 's390x'];

/** `load`: gives the C library; only tests give another one. */
export function createPeerReader(load: () => Library | null = loadLibrary): PeerReader {
	let ask: ((...values: unknown[]) => number) | string | undefined;
	return (socket) => {
		ask ??= prepare(load);
		if (typeof ask === 'string') return ask;
		const descriptor = descriptorOf(socket);
		if (descriptor === null) return 'the connection is closed';
		const credentials = Buffer.alloc(credentialsBytes);
		const length = Uint32Array.of(credentialsBytes);
		if (ask(descriptor, socketLevel, peerCredentials, credentials, length) !== 0 || length[0] !== credentialsBytes)
			return 'the kernel does not say';
		return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4) };
	};
}

function prepare(load: () => Library | null): ((...values: unknown[]) => number) | string {
	if (!knownArchitectures.includes(process.arch)) return `it is not known how to ask on ${process.arch}`;
	const library = load();
	if (!library) return 'the optional package koffi is not installed';
	return library.func(
		'int getsockopt(int socket, int level, int name, _Inout_ uint8_t *value, _Inout_ uint32_t *length)',
	);
}

/** Node keeps the number to itself, in the handle of every connection, but has no public name for it. */
function descriptorOf(socket: Socket): number | null {
	const handle: unknown = Reflect.get(socket, '_handle');
	const descriptor: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : null;
	return typeof descriptor === 'number' && descriptor >= 0 ? descriptor : null;
}
