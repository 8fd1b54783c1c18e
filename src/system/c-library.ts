import { createRequire } from 'node:module';

/** Functions of the C library, for the few things that the kernel has and Node has not. */
export interface Library {
	func(prototype: string): (...values: unknown[]) => number;
}

interface ForeignFunctions {
	load(path: string): Library;
}

/** Loads the C library at the first use: 25 ms that a daemon without systemd pays only when it is called over its socket. Null without koffi. */
export function loadLibrary(): Library | null {
	let koffi: ForeignFunctions;
	try {
		koffi = createRequire(import.meta.url)('koffi') as ForeignFunctions;
	} catch {
		return null;
	}
	for (const name of ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`]) {
		try {
			return koffi.load(name);
		} catch {
			// The other C library's name may be the right one.
		}
	}
	return null;
}
