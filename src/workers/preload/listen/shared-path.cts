import fs = require('node:fs');
import modules = require('node:module');
import path = require('node:path');

/** Flag of a listening socket in /proc/net/unix (__SO_ACCEPTCON). */
const listeningFlag = 0x10000;
const removers = ['unlink', 'rm'] as const;

/**
 * Many apps remove their unix socket before they listen on it and when they end. In a cluster the socket is their
 * siblings' too, which would go on listening where nobody can find them any more. So the file stays as long as somebody
 * listens there; one that was left behind can be removed as ever.
 */
function keepSharedPaths(): void {
	for (const name of removers) {
		const { [name]: later, [`${name}Sync` as const]: now } = fs as unknown as Record<string, Remover>;
		const promised = fs.promises[name] as Remover;
		if (!later || !now) continue;
		const patched: Record<string, Remover> = {
			[name]: (...values) => {
				const callback = values.at(-1);
				if (!isShared(values[0]) || typeof callback !== 'function') return later(...values);
				return process.nextTick(callback as (error: null) => void, null);
			},
			[`${name}Sync`]: (...values) => (isShared(values[0]) ? undefined : now(...values)),
		};
		Object.assign(fs, patched);
		Object.assign(fs.promises, {
			[name]: async (...values: unknown[]) => (isShared(values[0]) ? undefined : promised(...values)),
		});
	}
	// Names that ES modules import are copies.
	modules.syncBuiltinESMExports();
}

type Remover = (...values: unknown[]) => unknown;

function isShared(file: unknown): boolean {
	if (typeof file !== 'string') return false;
	try {
		if (!fs.lstatSync(file).isSocket()) return false;
		return isListenedOn(path.resolve(file), fs.readFileSync('/proc/net/unix', 'latin1'));
	} catch {
		return false;
	}
}

/** The kernel shows a path as it was bound, which in Node's cluster may be relative to the host's folder. */
function isListenedOn(file: string, sockets: string): boolean {
	return sockets.split('\n').some((line) => {
		const [, , , flags, , , , bound] = line.trim().split(/\s+/, 8);
		if (bound === undefined || (Number.parseInt(flags ?? '', 16) & listeningFlag) === 0) return false;
		return bound.startsWith('/') ? bound === file : file.endsWith(`/${bound.replace(/^(\.{1,2}\/)+/, '')}`);
	});
}

export = keepSharedPaths;
